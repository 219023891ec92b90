"""`carillon worker`."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import click
import structlog

from carillon.cli import setup_django
from carillon.cli.processes import (
    follow_supervisor,
    keep_metrics_in_files,
    serve_metrics,
)
from notifications.domain.channels import Lane

log = structlog.get_logger("carillon.schedule")
_TICK_S = 1.0
_ASK_EVERY_S = 30.0
_DIGESTS_EVERY = 10  # ticks
_MAINTAIN_EVERY = 60  # ticks


@click.command(epilog="Example: carillon worker --lanes critical,high")
@click.option("--lanes", default="", help="critical, high, default, bulk; all when left out.")
@click.option("--name", help="The owner's name in leases; made up when left out.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes of the Celery pool, each with a worker of its own.",
)
def command(lanes: str, name: str | None, concurrency: int) -> None:
    """Run a worker: a Celery worker where Redis is configured, the plain one otherwise."""
    keep_metrics_in_files()
    setup_django()
    from notifications.conf import environment

    chosen = [word.strip() for word in lanes.split(",") if word.strip()] or list(Lane)
    unknown = [word for word in chosen if word not in list(Lane)]
    if unknown:
        raise click.ClickException(f"no lane {unknown[0]!r}; known: {', '.join(Lane)}")
    follow_supervisor()
    serve_metrics()
    if environment().redis_url:
        _run_celery(chosen, name, concurrency)
    elif concurrency > 1:
        raise click.UsageError("--concurrency needs Redis; start several workers instead")
    else:
        _run_plain([Lane(word) for word in chosen], name)


def _run_celery(lanes: list[str], name: str | None, concurrency: int) -> None:
    from carillon.celery import app, crew

    crew.name = name or ""
    words = ["worker", "-Q", ",".join(lanes), f"--concurrency={concurrency}", "-l", "WARNING"]
    # Two workers of one machine need two names; they need not know of each other.
    words += ["-n", f"carillon-{os.getpid()}@%h", "--without-gossip", "--without-mingle"]
    app.worker_main(words)


def _run_plain(lanes: list[Lane], name: str | None) -> None:
    from django.db import connection

    from notifications.infra import clock
    from notifications.rendering.versions import precompile
    from notifications.services.asking import ask_due
    from notifications.services.broadcast_upkeep import begin_due, keep_broadcasts
    from notifications.services.digests import close_due
    from notifications.services.maintenance import maintain
    from notifications.services.receipts import apply_due
    from notifications.services.schedule_rounds import ScheduleRounds
    from notifications.services.telling import tell_due
    from notifications.worker import Worker

    worker = Worker(lanes=lanes, name=name)
    precompile()
    connection.close()
    ended = threading.Event()
    rounds = ScheduleRounds()

    def schedule(ticks: int) -> None:
        """The embedded schedule: what `beat` does where there is a broker."""
        apply_due(now=clock.now())
        rounds.look(clock.now())
        if ticks % _DIGESTS_EVERY == 0:
            close_due(now=clock.now())
        if ticks % _MAINTAIN_EVERY == 0:
            maintain()

    def tell(_ticks: int) -> None:
        """Status webhooks, on a thread of their own: a slow endpoint holds nothing else up."""
        tell_due(now=clock.now())

    def ask(_ticks: int) -> None:
        """Providers are asked what became of messages, on a thread of their own as well."""
        ask_due(now=clock.now())

    def broadcast(_ticks: int) -> None:
        """Broadcasts, on a thread of their own: a great launch delays nothing that is due."""
        keep_broadcasts(now=clock.now())

    def begin(_ticks: int) -> None:
        """Scheduled broadcasts begin within a second of their time, whatever goes on."""
        begin_due(now=clock.now())

    for call, tick_s in (
        (schedule, _TICK_S),
        (tell, _TICK_S),
        (ask, _ASK_EVERY_S),
        (broadcast, _TICK_S),
        (begin, _TICK_S / 2),
    ):
        threading.Thread(
            target=_repeat, args=(call, ended, tick_s), name=call.__name__, daemon=True
        ).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()
    ended.set()


def _repeat(call: Callable[[int], None], ended: threading.Event, tick_s: float) -> None:
    """Calls at every tick with a rising number until the end; a lost database is waited out."""
    from django.db import DatabaseError, InterfaceError, connection

    ticks = 0
    while not ended.wait(tick_s):
        ticks += 1
        try:
            call(ticks)
        except (DatabaseError, InterfaceError) as error:
            log.warning("schedule.missed", call=call.__name__, error=type(error).__name__)
        connection.close()
