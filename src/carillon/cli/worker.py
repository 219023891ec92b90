"""`carillon worker`."""

from __future__ import annotations

import signal
import threading

import click

from carillon.cli import setup_django
from carillon.cli.processes import follow_supervisor, keep_metrics_in_files
from notifications.domain.channels import Lane

_MAINTAIN_S = 60.0


@click.command(epilog="Example: carillon worker --lanes critical,high")
@click.option("--lanes", default="", help="critical, high, default, bulk; all when left out.")
@click.option("--name", help="The owner's name in leases; made up when left out.")
@click.option("--concurrency", default=1, show_default=True, help="Celery pool processes.")
def command(lanes: str, name: str | None, concurrency: int) -> None:
    """Run a worker: a Celery worker where Redis is configured, the plain one otherwise."""
    keep_metrics_in_files()
    setup_django()
    from notifications.conf import environment

    chosen = [word.strip() for word in lanes.split(",") if word.strip()] or list(Lane)
    unknown = [word for word in chosen if word not in list(Lane)]
    if unknown:
        raise click.ClickException(f"no lane {unknown[0]!r}; known: {', '.join(Lane)}")
    if environment().redis_url:
        from carillon.celery import app

        app.worker_main(
            ["worker", "-Q", ",".join(chosen), f"--concurrency={concurrency}", "-l", "WARNING"]
        )
        return
    _run_plain([Lane(word) for word in chosen], name)


def _run_plain(lanes: list[Lane], name: str | None) -> None:
    from django.db import connection

    from notifications.rendering.render import precompile
    from notifications.services.maintenance import maintain
    from notifications.worker import Worker

    worker = Worker(lanes=lanes, name=name)
    precompile()
    connection.close()
    ended = threading.Event()

    def schedule() -> None:
        """The embedded schedule: what `beat` does where there is a broker."""
        while not ended.wait(_MAINTAIN_S):
            maintain()
            connection.close()

    threading.Thread(target=schedule, name="schedule", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    follow_supervisor()
    worker.run()
    ended.set()
