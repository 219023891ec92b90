"""`carillon keys`."""

from __future__ import annotations

import click

from carillon.cli import setup_django


@click.group(epilog="Example: carillon keys rotate")
def command() -> None:
    """Rotate the master key, and seal rows of an older release."""
    setup_django()


@command.command("rotate", epilog="Example: carillon keys rotate")
def rotate() -> None:
    """Wrap all data keys by the current master key, while the service runs.

    Set the new key as CARILLON_MASTER_KEY and the old one in CARILLON_OLD_MASTER_KEYS, restart all
    processes, run this command, then remove the old one. It may be interrupted and repeated.
    """
    from notifications.features.privacy import keys
    from vault.master import MasterKeyMissing

    with click.progressbar(length=keys.count_keys(), label="keys") as bar:
        try:
            changed = keys.rotate(bar.update)
        except MasterKeyMissing as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{changed:,} keys were wrapped by the current master key")


@command.command("seal", epilog="Example: carillon keys seal")
@click.option(
    "--all", "again", is_flag=True, help="Look at all rows again, also those of this release."
)
def seal(again: bool) -> None:
    """Seal what an older release stored readably or under the service's key.

    Search tokens of an older release are renewed.

    It runs beside the service, and may be interrupted and repeated: it goes on where it ended. All
    processes of the older release must have stopped. Use --all if one of them wrote rows after the
    migration.
    """
    from notifications.features.sealing import service
    from vault.master import MasterKeyMissing

    if again:
        service.begin_again()
    left = sum(service.rows_left().values())
    with click.progressbar(length=left, label="rows") as bar:
        try:
            sealed = service.seal_rows(bar.update)
        except MasterKeyMissing as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{sealed:,} rows were sealed or renewed")
