"""`carillon web`."""

from __future__ import annotations

import signal
import threading
import warnings
from typing import Any

import click

from carillon.cli import setup_django
from carillon.cli.processes import (
    PORT,
    follow_supervisor,
    keep_metrics_in_files,
    refuse_taken_port,
)

_DRAIN_S = 30


@click.command(epilog="Example: carillon web --port 8080")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, default=8000, show_default=True)
def command(host: str, port: int) -> None:
    """Run the web tier alone: HTTP and websockets on one port."""
    keep_metrics_in_files()
    setup_django()
    import uvicorn

    from carillon.asgi import application
    from notifications.conf import environment
    from notifications.rendering.versions import precompile

    refuse_taken_port(host, port)
    precompile()
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_DRAIN_S,
    )
    server = uvicorn.Server(config)
    # Once drained, uvicorn raises the signal again for whoever was there before it: for us, so
    # that what stands below `run` is still done, and the end is a good one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    follow_supervisor()
    stop_tasks = None if environment().redis_url else run_tasks_here()
    server.run()
    if stop_tasks:
        stop_tasks()


def run_tasks_here() -> Any:
    """Without a broker, documented `.delay()` calls run on a thread of this process."""
    warnings.filterwarnings("ignore", message=".*superuser privileges", category=UserWarning)
    from celery.apps.worker import Worker
    from celery.worker import state

    from carillon.celery import app

    class _TasksOnly(Worker):
        """The Worker that delivers is a process of its own."""

        delivers = False

    worker = _TasksOnly(
        app=app,
        pool="threads",
        concurrency=2,
        loglevel="ERROR",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    thread = threading.Thread(target=worker.start, name="celery", daemon=True)
    thread.start()

    def stop() -> None:
        state.should_stop = 0  # type: ignore[assignment]  # an exit code, as Celery has it
        thread.join(5)

    return stop
