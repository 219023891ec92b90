"""`carillon beat`."""

from __future__ import annotations

import click

from carillon.cli import setup_django
from carillon.cli.doctor_settings import warn_of_misspelt
from carillon.cli.processes import check_settled, follow_supervisor


@click.command(epilog="Example: carillon beat")
def command() -> None:
    """Run the schedule. It only wakes workers: rows in the database decide what is due."""
    setup_django()
    warn_of_misspelt()
    from carillon.celery import app
    from notifications.infra.conf import environment

    if not environment().redis_url:
        raise click.ClickException(
            "without Redis the worker runs the schedule itself: set CARILLON_REDIS_URL to use beat"
        )
    check_settled()
    follow_supervisor()
    app.Beat(loglevel="WARNING", quiet=True).run()
