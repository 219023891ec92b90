"""`carillon import`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from carillon.cli import setup_django

if TYPE_CHECKING:
    from directory.importing import ImportReport

_KINDS: dict[str, Literal["csv", "ndjson"]] = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}


@click.group(epilog="Example: carillon import users people.csv")
def command() -> None:
    """Import from a file."""


def _count_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


@command.command("users", epilog="Example: carillon import users people.ndjson --json")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object as the last line.")
def users(file: Path, as_json: bool) -> None:
    """Import people from FILE (.csv, .ndjson, .jsonl). Safe to repeat.

    Bad lines are reported by number and reason, good ones go in. Exit code 1: some were bad.
    """
    kind = _KINDS.get(file.suffix.lower())
    if kind is None:
        raise click.UsageError(f"{file.name}: the name must end in {', '.join(_KINDS)}")
    setup_django()
    report = _import(file, kind)
    for error in report.errors:
        click.echo(f"line {error.line}: {error.reason}", err=True)
    if report.error_count > len(report.errors):
        click.echo(f"and {report.error_count - len(report.errors)} more bad lines", err=True)
    counts = {
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "bad": report.error_count,
    }
    if as_json:
        click.echo(json.dumps(counts))
    else:
        click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    if report.error_count:
        raise SystemExit(1)


def _import(file: Path, kind: Literal["csv", "ndjson"]) -> ImportReport:
    """Streams the file in, with a bar on stderr that counts lines."""
    from directory.importing import ImportFault, import_users

    total = _count_lines(file)
    with (
        file.open(newline="", encoding="utf-8") as lines,
        click.progressbar(length=total, label=file.name, file=sys.stderr) as bar,
    ):

        def progress(read: int) -> None:
            bar.update(max(0, read - bar.pos))

        try:
            return import_users(lines, kind=kind, on_progress=progress)
        except ImportFault as fault:
            raise click.ClickException(str(fault)) from fault
        except UnicodeDecodeError as fault:
            raise click.ClickException(
                f"{file.name} is not UTF-8 at byte {fault.start}: save it as UTF-8"
            ) from fault
