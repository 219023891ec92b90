"""`carillon import`: people, groups, relations, suppressions and unsubscribes from a file."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER

if TYPE_CHECKING:
    from directory.importing import ImportReport

_KINDS: dict[str, Literal["csv", "ndjson"]] = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
_KNOWN = {
    "users": "people: uuid, external_id, username, email, ... attributes.NAME, groups",
    "groups": "name, kind, members (separated by semicolons)",
    "memberships": "user, group",
    "enrollments": "student, subject, teacher",
    "tutor-assignments": "student, tutor",
    "parent-links": "parent, student",
    "suppressions": "kind, address, reason",
    "unsubscribes": "user or email, category (empty: everything)",
}


@click.group(epilog="Example: carillon import users people.csv")
def command() -> None:
    """Import from a file (.csv, .ndjson, .jsonl). Safe to repeat.

    Valid lines are imported; bad ones are reported by number and reason, with exit code 1.
    """


def _add(what: str, columns: str) -> None:
    @command.command(what, help=f"Columns: {columns}.", epilog=f"Example: carillon import {what} F")
    @click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.option("--json", "as_json", is_flag=True, help="One JSON object as the last line.")
    def run(file: Path, as_json: bool) -> None:
        _run(what, file, as_json=as_json)


for _what, _columns in _KNOWN.items():
    _add(_what, _columns)


def _run(what: str, file: Path, *, as_json: bool) -> None:
    kind = _KINDS.get(file.suffix.lower())
    if kind is None:
        raise click.UsageError(f"{file.name}: the name must end in {', '.join(_KINDS)}")
    setup_django()
    report = _import(what, file, kind)
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


def _count_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


def _import(what: str, file: Path, kind: Literal["csv", "ndjson"]) -> ImportReport:
    """Imports the file as a stream, with a progress bar on stderr that counts lines."""
    from directory.imports.records import ImportFault
    from notifications.features.people.imports import import_file

    gc.freeze()  # all that the start made stays: the collector need not visit it again and again
    total = _count_lines(file)
    with (
        # Bytes that are not UTF-8 make only their own line a bad one.
        file.open(newline="", encoding="utf-8", errors="surrogateescape") as lines,
        click.progressbar(length=total, label=file.name, file=sys.stderr) as bar,
    ):

        def progress(read: int) -> None:
            bar.update(max(0, read - bar.pos))

        try:
            return import_file(what, lines, kind=kind, caller=CALLER, on_progress=progress)
        except ImportFault as fault:
            raise click.ClickException(str(fault)) from fault
