"""The entry point: finds the command, and turns every failure into one line and an exit code.

Exit codes: 0 is well, 1 a problem was found or the operation failed, 2 the command line or the configuration is
wrong, 130 interrupted, 141 the reader of the output went away; `dblog archive --verify` alone has 3, too. Commands are
imported when they are called, because SQLAlchemy and rich take longer to import than a short query takes to run.
"""

import difflib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn, TextIO

import click

from dblog.errors import ConfigurationError, DblogError, UsageError

COMMANDS: Final = {
    "init": "Create or upgrade the tables, or print the SQL for a DBA.",
    "query": "Print the newest records that match a filter.",
    "tail": "Print the last records, and with -f those that arrive.",
    "stats": "Count records by level, logger and hour; show sizes.",
    "verify": "Prove that nothing is missing and nothing is there twice.",
    "writers": "Show how the writers of this host are, and what they hold back.",
    "spool": "List, print and check what waits in the spool.",
    "replay": "Deliver what writers that ended have left in the spool.",
    "rejected": "List the rows that PostgreSQL refused, and try them again.",
    "archive": "Copy partitions that are over to files, and check those files.",
    "restore": "Bring archived records back into the table.",
    "prune": "Remove records that are older than they are kept.",
    "maintain": "Prune again and again, until told to end.",
    "adopt": "Take over the rows of another logs table.",
    "files": "Report, rotate, clean and check a folder of log files.",
    "doctor": "Check the connection, the tables, the rights, the partitions, the spool.",
    "config": "Check, show or explain the configuration.",
    "demo": "Log into a PostgreSQL and read it back.",
}
"""Name of the command, which is also the name of its module in `dblog.cli`, and the line that `--help` shows."""

INTERRUPTED: Final = 130
READER_GONE: Final = 141


class LazyGroup(click.Group):
    """A group whose commands are imported by name; each module offers its command as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which they are met."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(f"dblog.cli.{cmd_name}").command
        return found if isinstance(found, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or fail with a suggestion."""
        if args[0] not in COMMANDS:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"accepted: {', '.join(COMMANDS)}"
            ctx.fail(f"no such command: {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"dblog {version('dblog')}")
        except PackageNotFoundError:
            click.echo("dblog (from a source tree that is not installed)")
        ctx.exit()


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
@click.pass_context
def dblog(ctx: click.Context) -> None:
    """Logging into PostgreSQL: every record becomes a row, exactly once."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit(2)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command line; return the exit code. Nothing but the interpreter's own exit is raised.

    A command says how it ended with `ctx.exit(code)`, or by returning the code.
    """
    if sys.stdout is None:  # closed by whoever called
        return _report(OSError(errno.EBADF, "standard output is closed"))
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # finding none costs a look at all that is installed
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what the terminal's encoding lacks must not end the command
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard(sys.stdout)
        return READER_GONE
    except Exception as error:  # noqa: BLE001 - the last resort, so that nobody is shown a traceback
        return _report(error)
    return code


def _invoke(arguments: Sequence[str]) -> int:
    if "_DBLOG_COMPLETE" in os.environ:
        dblog.main(prog_name="dblog")  # click answers the shell and exits
    try:
        with dblog.make_context("dblog", list(arguments)) as context:
            result = dblog.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return result if isinstance(result, int) else 0


def _discard(stream: TextIO) -> None:
    """Send what is still buffered nowhere, lest the interpreter complain about the broken pipe when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _report(error: Exception) -> int:
    """Say in one line what went wrong; return the exit code."""
    from dblog.escapes import printable

    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return error.exit_code
    sys.stderr.write(f"dblog: error: {printable(_sentence(error))}\n")
    if isinstance(error, click.ClickException):
        return error.exit_code
    return 2 if isinstance(error, ConfigurationError | UsageError) else 1


def _sentence(error: Exception) -> str:
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "dblog"
        return f"{error.format_message()} (see {command} --help)"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, click.Abort):
        return "aborted"
    if isinstance(error, DblogError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return _unforeseen(error)


def _unforeseen(error: Exception) -> str:
    """Errors of the database by their meaning, mistakes of dblog by their place; their texts may quote secrets."""
    from psycopg import Error
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, Error | DBAPIError):
        from dblog.faults import describe

        return describe(error)
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f" at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
    return f"unexpected {type(error).__name__}{where}; this is a mistake in dblog, please report it"
