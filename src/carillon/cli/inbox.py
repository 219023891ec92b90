"""`carillon inbox`."""

from __future__ import annotations

import click

from carillon.cli import setup_django


@click.group(epilog="Example: carillon inbox fill")
def command() -> None:
    """Fill inboxes after an upgrade, and check their unread numbers."""
    setup_django()


@command.command("fill", epilog="Example: carillon inbox fill")
def fill() -> None:
    """Put what an older release delivered in_app into the inboxes, as read.

    It runs beside the service, and may be interrupted and repeated.
    """
    from notifications.features.inbox import filling

    with click.progressbar(length=filling.count_missing(), label="messages") as bar:
        made = filling.fill_inboxes(bar.update)
    click.echo(f"{made:,} notifications were put into inboxes")


@command.command("recount", epilog="Example: carillon inbox recount")
def recount() -> None:
    """Correct unread numbers that differ from the inboxes. None should."""
    from notifications.features.inbox import filling

    with click.progressbar(length=filling.count_inboxes(), label="inboxes") as bar:
        corrected = filling.recount(bar.update)
    click.echo(f"{corrected:,} numbers were corrected")
