"""`carillon secret`."""

from __future__ import annotations

import click

from carillon.cli import setup_django

NAMES = {
    "webhook": "WEBHOOK_SECRET",
    "callback": "CALLBACK_SECRET",
    "telegram": "TELEGRAM_WEBHOOK_SECRET",
}


@click.command(epilog="Example: carillon secret webhook")
@click.argument("name", type=click.Choice(list(NAMES)))
def command(name: str) -> None:
    """Print only the secret that the other side needs.

    webhook: receivers of webhook notifications verify with it. callback: callers of
    /api/v1/callbacks/generic sign with it. telegram: the `secret_token` of setWebhook.
    """
    setup_django()
    from django.conf import settings

    click.echo(getattr(settings, NAMES[name]))
