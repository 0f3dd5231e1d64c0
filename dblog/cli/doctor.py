"""`dblog doctor`: check the connection, the tables, the rights, the partitions and the spool's folder."""

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.text import Text

from dblog.checks import SEVERITY, Check, worst
from dblog.cli.options import with_settings
from dblog.escapes import printable
from dblog.settings import Settings
from dblog.store.doctor import examine, examine_spool

STYLES = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
@click.pass_context
def command(ctx: click.Context, settings: Settings, as_json: bool) -> None:
    """Check the connection, the tables, the rights of the role, the partitions and the spool's folder.

    Exit code: 0 all is well, 1 there are warnings, 2 there are errors.
    """
    checks = (*examine(settings.database), examine_spool(settings.logging.database.spool_dir))
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
