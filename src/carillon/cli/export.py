"""`carillon export`: people or groups as lines of JSON, or all data about one person."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER
from notifications.infra.files import whole_file


@click.group(epilog="Example: carillon export users > people.ndjson")
def command() -> None:
    """Export as JSON, to standard output."""


def _lines(what: str) -> None:
    setup_django()
    from notifications.features.people.imports import export_lines

    for line in export_lines(what):
        sys.stdout.buffer.write(line + b"\n")


@command.command("users", epilog="Example: carillon export users > people.ndjson")
def users() -> None:
    """Export all people, one per line, in the form that `carillon import users` reads."""
    _lines("users")


@command.command("groups", epilog="Example: carillon export groups > groups.ndjson")
def groups() -> None:
    """Export all groups with their members, in the form that `carillon import groups` reads."""
    _lines("groups")


@command.command("user", epilog="Example: carillon export user 17 --format html --out ada.html")
@click.argument("identifier")
@click.option("--format", "form", type=click.Choice(["json", "html"]), default="json")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file; without it, the standard output.",
)
def user(identifier: str, form: str, out: Path | None) -> None:
    """Export all data about one person (id, UUID or ext:ID), as JSON or as one page."""
    setup_django()
    from notifications.features.privacy.export.service import ExportService

    if out is None:
        parts = ExportService().print(identifier=identifier, form=form, caller=CALLER)
        sys.stdout.buffer.writelines(parts)
        return
    try:
        # A file or link that another user placed there is refused: that user could read it.
        with whole_file(out) as file:
            parts = ExportService().print(identifier=identifier, form=form, caller=CALLER)
            file.writelines(parts)
    except OSError as error:
        raise click.ClickException(f"{out} was not written: {error.strerror}") from error
