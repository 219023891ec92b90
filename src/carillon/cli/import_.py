"""`carillon import`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from carillon.cli import setup_django


@click.group(epilog="Example: carillon import users people.csv")
def command() -> None:
    """Import from a file."""


def _count_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


@command.command("users", epilog="Example: carillon import users people.ndjson")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def users(file: Path) -> None:
    """Import people from FILE (.csv or .ndjson). Bad lines are reported; good ones go in."""
    setup_django()
    from directory.importing import ImportFault, import_users

    kind: Literal["csv", "ndjson"] = "csv" if file.suffix.lower() == ".csv" else "ndjson"
    with (
        file.open(newline="", encoding="utf-8") as lines,
        click.progressbar(length=_count_lines(file), label=file.name) as bar,
    ):

        def progress(read: int) -> None:
            bar.update(max(0, read - bar.pos))

        try:
            report = import_users(lines, kind=kind, on_progress=progress)
        except ImportFault as fault:
            raise click.ClickException(str(fault)) from fault
    for error in report.errors:
        click.echo(f"line {error.line}: {error.reason}", err=True)
    click.echo(f"{report.created} created, {report.updated} updated, {len(report.errors)} bad")
    if report.errors:
        raise SystemExit(1)
