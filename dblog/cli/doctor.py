"""`dblog doctor`: check the database, how the tables are kept, and the spool."""

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.text import Text

from dblog.checks import SEVERITY, Check, worst
from dblog.cli.options import with_settings
from dblog.cli.spoolcheck import check_spool
from dblog.escapes import printable
from dblog.settings import Settings
from dblog.store.health.examination import examine

STYLES = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
@click.pass_context
def command(ctx: click.Context, settings: Settings, as_json: bool) -> None:
    """Check the connection, the rights of the role, the tables and how they are kept, clocks, and the spool.

    Exit code: 0 all is well, 1 there are warnings, 2 there are errors.
    """
    checks = (*examine(settings), *check_spool(settings))
    verdict = worst(checks)
    if as_json:
        click.echo(json.dumps({"status": verdict, "checks": [asdict(check) for check in checks]}))
    else:
        console = Console(soft_wrap=True, highlight=False)
        for check in checks:
            console.print(_line(check))
    ctx.exit(SEVERITY.index(verdict))


def _line(check: Check) -> Text:
    remedy = f"\n{'':9}mend it with: {printable(check.remedy)}" if check.remedy else ""
    return Text.assemble(
        (f"{check.state:8} ", STYLES[check.state]), printable(f"{check.name}: {check.finding}"), remedy
    )
