"""What the long-running commands share: ports, metrics files, a supervisor that may vanish."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path

import click

SUPERVISED = "CARILLON_SUPERVISED"
PORT = click.IntRange(1, 65535)


def refuse_taken_port(host: str, port: int) -> None:
    """Tells at once, and clearly, that nothing can listen there.

    Raises:
        click.ClickException: the address is taken, not allowed, or not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {reason}; choose another with --host and --port"
        ) from error


def keep_metrics_in_files() -> None:
    """Has prometheus-client keep its figures where every process of the machine can add up.

    To be called before anything imports prometheus_client.
    """
    from carillon.settings.environment import SettingsError, read_environment

    try:
        folder = read_environment().data_dir.resolve() / "metrics"
    except SettingsError:
        return  # setup_django tells it properly
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(folder))


def serve_metrics() -> None:
    """Serves this machine's counters where CARILLON_METRICS_PORT says, in a thread.

    Raises:
        ClickException: when the port is taken.
    """
    from prometheus_client import start_http_server

    from notifications.conf import environment
    from notifications.infra.telemetry import counters_registry

    port = environment().metrics_port
    if not port:
        return
    try:
        start_http_server(port, registry=counters_registry())
    except OSError as error:
        raise click.ClickException(
            f"cannot serve metrics on port {port}: {error.strerror or error};"
            " choose another with CARILLON_METRICS_PORT"
        ) from error


def clear_metrics(folder: Path) -> None:
    """Forgets the counters of processes that are gone; `serve` begins anew."""
    for path in folder.glob("*.db"):
        path.unlink(missing_ok=True)


def follow_supervisor() -> None:
    """Ends this process when its supervisor is gone, however it died: the pipe to it closes."""
    if os.environ.get(SUPERVISED):
        threading.Thread(target=_wait_for_end, name="supervisor-watch", daemon=True).start()


def _wait_for_end() -> None:
    # Not through sys.stdin: Python could not end while a thread waits inside its buffer.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
