"""`carillon erasures`."""

from __future__ import annotations

from pathlib import Path

import click

from carillon.cli import setup_django


@click.group(epilog="Example: carillon erasures export /srv/erasures/today.ndjson")
def command() -> None:
    """What was erased, for the restore of a backup."""
    setup_django()


@command.command("export", epilog="Example: carillon erasures export erasures.ndjson")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(file: Path) -> None:
    """Write all erasures to a new FILE, for `carillon restore --erasures`.

    It has ids of keys, UUIDs of people and hashes of addresses: no name, and no address.
    """
    from notifications.features.privacy.known import write_erasures
    from notifications.infra import clock

    try:
        count = write_erasures(file, now=clock.now())
    except OSError as error:
        raise click.ClickException(f"{file} was not written: {error.strerror}") from error
    click.echo(f"{count:,} erasures are in {file}")
