"""`carillon retention`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from carillon.cli import setup_django

if TYPE_CHECKING:
    from notifications.features.retention.service import RuleCount


@click.group(
    invoke_without_command=True,
    epilog="Example: carillon retention --dry-run --json",
)
@click.option("--dry-run", is_flag=True, help="Print what would be emptied and deleted now.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print one JSON object.")
@click.pass_context
def command(context: click.Context, dry_run: bool, as_json: bool) -> None:
    """Empty and delete rows by their age. Workers do it all the time; see docs/retention.md."""
    setup_django()
    if dry_run == bool(context.invoked_subcommand):
        raise click.UsageError("give --dry-run, or the command `run`")
    if not dry_run:
        return
    from notifications.features.retention.service import RetentionService

    lines = RetentionService().dry_run()
    if as_json:
        click.echo(json.dumps({"rows": [asdict(line) for line in lines]}))
        return
    click.echo("\n".join(_texts(lines, "would be ")) or "nothing is due")


@command.command("run", epilog="Example: carillon retention run")
def run() -> None:
    """Empty and delete all that is due now, and end. It may run beside workers."""
    from notifications.features.retention.service import RetentionService

    RetentionService().run_all(report=lambda line: click.echo(next(_texts([line], ""))))
    click.echo("nothing is left that is due")


def _texts(lines: Iterable[RuleCount], prefix: str) -> Iterator[str]:
    return (
        f"{line.rows:>12,}  {line.table} rows {prefix}{line.happens} ({line.rule})"
        for line in lines
    )
