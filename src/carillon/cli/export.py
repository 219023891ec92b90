"""`carillon export`: people or groups as lines of JSON, or all data about one person."""

from __future__ import annotations

import sys

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


@command.command("user", epilog="Example: carillon export user 17 > ada.json")
@click.argument("identifier")
def user(identifier: str) -> None:
    """Export all data about one person (id or UUID), as one JSON object."""
    setup_django()
    import msgspec

    from notifications.features.people.bundle import collect_person_data

    bundle = msgspec.json.encode(collect_person_data(identifier, caller=CALLER))
    click.echo(msgspec.json.format(bundle, indent=2).decode())
