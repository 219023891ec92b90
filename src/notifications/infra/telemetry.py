"""Metrics and the events of the log, in one vocabulary.

prometheus-client stores its figures in files (multiprocess mode) when PROMETHEUS_MULTIPROC_DIR is
set, so that one scrape reads every web and worker process of a machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from notifications.infra import clock

log = structlog.get_logger("carillon")
REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

MESSAGES = Counter(
    "notifications_sent_total",
    "Messages that reached a state, by channel, template and status.",
    ["channel", "template", "status"],
    registry=REGISTRY,
)
RECEIPTS = Counter(
    "notifications_receipts_total",
    "What vendors reported of messages.",
    ["provider", "kind"],
    registry=REGISTRY,
)
TRACKING = Counter(
    "notifications_tracking_requests_total",
    "Requests for pixels and links of mails, by kind and by what became of their evidence.",
    ["kind", "result"],
    registry=REGISTRY,
)
SERIES = Counter(
    "notifications_series_steps_total",
    "Steps of series that were handed over (`sent`), and people who left one, by reason.",
    ["result"],
    registry=REGISTRY,
)
STAGES = Histogram(
    "notification_processing_duration_seconds",
    "Time a slice spends in a stage.",
    ["channel", "stage"],
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
)
RENDERS = Histogram(
    "template_render_duration_seconds",
    "Mean time of a render in a slice.",
    ["template_id"],
    registry=REGISTRY,
    buckets=(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.05),
)
QUEUE_SIZES = Gauge(
    "notification_reported_queue_size",
    "Queue sizes that the platform's own code reported, by priority.",
    ["priority"],
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
Gauges = Callable[[], Iterator[GaugeMetricFamily]]
_template_names: dict[int, str] = {}


def name_template(version_id: int, path: str) -> None:
    """Sets the name under which a template version is counted."""
    _template_names[version_id] = path


def count_receipts(provider: str, kinds: Iterable[str]) -> None:
    """Adds receipts that were applied."""
    for kind in kinds:
        RECEIPTS.labels(provider, kind).inc()


def count_messages(counts: Mapping[tuple[str, int | None, str], int]) -> None:
    """Adds outcomes, keyed by (channel, template version id, status)."""
    for (channel, version, status), number in counts.items():
        name = _template_names.get(version, str(version)) if version else "none"
        MESSAGES.labels(channel, name, status).inc(number)


@contextmanager
def stage(channel: str, name: str) -> Iterator[None]:
    """Times a stage of a slice."""
    began = clock.monotonic()
    try:
        yield
    finally:
        STAGES.labels(channel, name).observe(clock.monotonic() - began)


def log_dead_letter(message_id: int, code: str, attempts: int) -> None:
    """Logs the critical line that alerts of operators match."""
    log.critical("message.died", message_id=message_id, code=code, attempts=attempts)


class _GaugesNow:
    """Gauges that are read from the database at scrape time."""

    def __init__(self, read: Gauges) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        return self._read()


def counters_registry() -> CollectorRegistry:
    """The counters of all processes of this machine; of this process where no files are used."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def exposition(read_gauges: Gauges) -> bytes:
    """The text that Prometheus scrapes: counters of all processes, gauges of this moment."""
    registry = CollectorRegistry()
    registry.register(_GaugesNow(read_gauges))
    return generate_latest(counters_registry()) + generate_latest(registry)


class NotificationMetrics:
    """The documented way to add to the figures of `/metrics`.

    Every instance adds to the same counters, which the pipeline uses too.
    """

    def record_notification_sent(self, channel: str, template: str, success: bool) -> None:
        """Counts one message under the status `success` or `failure`."""
        MESSAGES.labels(channel, template, "success" if success else "failure").inc()

    def record_processing_time(self, channel: str, stage: str, duration: float) -> None:
        """duration in seconds."""
        STAGES.labels(channel, stage).observe(duration)

    def update_queue_size(self, priority: str, size: int) -> None:
        """A size that this process knows; `/metrics` shows the database's own beside it."""
        QUEUE_SIZES.labels(priority).set(size)

    def record_template_render_time(self, template_id: str, duration: float) -> None:
        """duration in seconds."""
        RENDERS.labels(template_id).observe(duration)
