"""`carillon web`."""

from __future__ import annotations

import logging
import os
import signal
import sys

import click
import structlog

from carillon.cli import setup_django
from carillon.cli.doctor_settings import warn_of_misspelt
from carillon.cli.processes import (
    PORT,
    SUPERVISED,
    check_settled,
    follow_supervisor,
    listen,
    publish_address,
    store_address,
)
from carillon.processes import store_metrics_in_files

log = structlog.get_logger("carillon.web")

_LAST_WRITE_S = 3.0
"""The time for each last write: who was connected here, and opens and clicks in memory."""


@click.command(epilog="Example: carillon web --port 8080")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, default=8000, show_default=True)
def command(host: str, port: int) -> None:
    """Run the web tier alone: HTTP and websockets on one port."""
    store_metrics_in_files()
    publish_address(host, port)
    setup_django()
    warn_of_misspelt()

    from carillon.asgi import application, realtime
    from carillon.serving.server.listening import SocketHandoff, place_of
    from carillon.serving.server.web_server import WebServer, raise_open_files, server_config
    from notifications.features.tracking.service import COLLECTOR
    from notifications.infra.conf import environment
    from notifications.infra.process.interpreter import tune_interpreter

    check_settled()
    raise_open_files()
    listener = listen(host, port)
    place = place_of(host, port, environment().data_dir.resolve())
    handoff = None if os.environ.get(SUPERVISED) else SocketHandoff(listener, place)

    def begun() -> None:
        store_address(host, port, environment().data_dir)
        if handoff:
            handoff.start()
        log.info("web.ready", host=host, port=port, pid=os.getpid())

    def closing() -> None:
        application.close()
        realtime.close()
        if handoff:
            handoff.stop()

    config = server_config(application, environment())
    server = WebServer(config, begun=begun, closing=closing)
    # After draining, uvicorn raises the signal again for the handler that was set before it. This
    # handler lets the code below `run` execute, so that the process exits with success.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    follow_supervisor()
    tune_interpreter()
    server.run(sockets=[listener])
    realtime.await_end(_LAST_WRITE_S)
    COLLECTOR.close(_LAST_WRITE_S)
    # The remaining threads hang on a database, and Python would wait for them.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)
