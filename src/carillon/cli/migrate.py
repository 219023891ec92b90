"""`carillon migrate`."""

from __future__ import annotations

import click

from carillon.cli import setup_django


@click.command(epilog="Example: carillon migrate")
@click.option("--quiet", is_flag=True, help="Print nothing.")
def command(quiet: bool) -> None:
    """Bring the database up to date, and create the templates that the service itself sends."""
    setup_django()
    from django.core.management import call_command

    from notifications.features.upkeep.digests import ensure_digest_template

    call_command("migrate", verbosity=0 if quiet else 1, interactive=False)
    ensure_digest_template()
