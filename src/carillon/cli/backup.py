"""`carillon backup`."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import click

from carillon.cli import setup_django

MINUTES = click.option(
    "--minutes",
    type=click.IntRange(1, 1440),
    default=240,
    show_default=True,
    help="The longest time that pg_dump or pg_restore may run.",
)


@click.command(epilog="Example: carillon backup /srv/backups")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--keys-days",
    type=click.IntRange(1, 7),
    help="Delete archives of keys after so many days; CARILLON_BACKUP_KEYS_DAYS otherwise.",
)
@MINUTES
def command(folder: Path, keys_days: int | None, minutes: int) -> None:
    """Write two archives into FOLDER, while the service runs: main database and keys.

    Archives of keys older than a week are deleted from FOLDER. Copy both to other places, each to
    its own, and delete those copies of keys after a week, too.
    """
    setup_django()
    from carillon.backup.databases import Programs
    from carillon.backup.making import make_backup
    from carillon.backup.programs import ProgramFailed
    from notifications.infra import clock
    from notifications.infra.conf import environment

    own = environment()
    programs = Programs(own.postgres_programs, 60.0 * minutes)
    try:
        made = make_backup(
            folder,
            now=clock.now(),
            keys_days=keys_days or own.backup_keys_days,
            programs=programs,
        )
    except (ProgramFailed, OSError, sqlite3.Error) as error:
        raise click.ClickException(f"no backup was made: {error}") from error
    click.echo(f"main  {made.main}\nkeys  {made.keys}")
    if made.keys_in_main:
        click.echo(
            "The keys are tables of the main database. They are only in the archive of keys; but"
            " every other dump of this database has them. Set CARILLON_KEYS_DATABASE_URL to a"
            " database of another cluster."
        )
    for path in made.deleted:
        click.echo(f"deleted {path.name}: a person who was erased since may be readable with it")
    click.echo("The secret key and the master key are in neither: store a copy elsewhere.")
