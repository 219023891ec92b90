"""`carillon worker`."""

from __future__ import annotations

import os
import signal

import click

from carillon.cli import setup_django
from carillon.cli.doctor_settings import warn_of_misspelt
from carillon.cli.processes import check_settled, follow_supervisor, leave_pid_one
from carillon.processes import store_metrics_in_files
from notifications.domain.channels import Lane


@click.command(epilog="Example: carillon worker --lanes critical,high")
@click.option("--lanes", default="", help="critical, high, default, bulk; without it, all.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes of the Celery pool, each with its own worker.",
)
def command(lanes: str, concurrency: int) -> None:
    """Run a worker: a Celery worker if Redis is configured, else a plain one."""
    leave_pid_one()
    store_metrics_in_files()
    setup_django()
    warn_of_misspelt()
    from notifications.infra.conf import environment

    chosen = [word.strip() for word in lanes.split(",") if word.strip()] or list(Lane)
    unknown = [word for word in chosen if word not in list(Lane)]
    if unknown:
        raise click.ClickException(f"no lane {unknown[0]!r}; known: {', '.join(Lane)}")
    check_settled()
    follow_supervisor()
    if environment().redis_url:
        _run_celery(chosen, concurrency)
    elif concurrency > 1:
        raise click.UsageError("--concurrency needs Redis; start several workers instead")
    else:
        _run_plain([Lane(word) for word in chosen])


def _run_celery(lanes: list[str], concurrency: int) -> None:
    from carillon.celery import app

    words = ["worker", "-Q", ",".join(lanes), f"--concurrency={concurrency}"]
    words += ["-n", f"carillon-{os.getpid()}@%h"]  # two workers on one machine need different names
    app.worker_main(words)


def _run_plain(lanes: list[Lane]) -> None:
    from django.db import connection

    from carillon.metrics_port import serve_metrics
    from notifications.engine.worker import Worker
    from notifications.features.upkeep.service import BackgroundWork
    from notifications.rendering.versions import precompile

    serve_metrics()
    worker = Worker(lanes=lanes)
    precompile(proved=True)
    connection.close()
    standing = BackgroundWork(owner=worker.owner)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    standing.start()
    worker.run()
    standing.stop()
