"""`carillon export`: people or groups as lines of JSON, or all data about one person."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER


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
        # Only the owner may read it, from its first byte on. A file or link that another user
        # placed there is refused: that user could read what is written.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(out, flags, 0o600), "wb") as file, _removed_on_error(out):
            parts = ExportService().print(identifier=identifier, form=form, caller=CALLER)
            file.writelines(parts)
    except OSError as error:
        raise click.ClickException(f"{out} was not written: {error.strerror}") from error


@contextmanager
def _removed_on_error(file: Path) -> Iterator[None]:
    """Removes a file whose writing failed: a part of an export looks like a whole one."""
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise
