"""The port of a worker's counters."""

from __future__ import annotations

from prometheus_client import start_http_server

from notifications.infra.conf import environment
from notifications.infra.telemetry import counters_registry


def serve_metrics() -> None:
    """Serves this machine's counters on CARILLON_METRICS_PORT, in a thread.

    Raises:
        SystemExit: the port is in use; its text says what to do.
    """
    port = environment().metrics_port
    if not port:
        return
    try:
        start_http_server(port, registry=counters_registry())
    except OSError as error:
        raise SystemExit(
            f"error: cannot serve metrics on port {port}: {error.strerror or error};"
            " choose another with CARILLON_METRICS_PORT"
        ) from error
