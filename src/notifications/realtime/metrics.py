"""The figures of the hub in /metrics: what is connected, what was refused, and how late it is."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from notifications.infra.telemetry import REGISTRY

CONNECTIONS = Gauge(
    "notifications_realtime_connections",
    "Open sockets, streams and long polls, by transport.",
    ["transport"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
PEOPLE = Gauge(
    "notifications_realtime_people",
    "People with an open connection, counted in each web process.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
CLOSED = Counter(
    "notifications_realtime_closed_total",
    "Connections that the service closed or refused, by close code.",
    ["code"],
    registry=REGISTRY,
)
FRAMES = Counter(
    "notifications_realtime_frames_total",
    "Frames that were given to connections.",
    registry=REGISTRY,
)
RECEIVED = Counter(
    "notifications_realtime_received_total",
    "Frames that sockets sent, by their type.",
    ["type"],
    registry=REGISTRY,
)
RESYNCS = Counter(
    "notifications_realtime_resyncs_total",
    "Clients that were made to begin anew, by reason.",
    ["reason"],
    registry=REGISTRY,
)
DROPPED = Counter(
    "notifications_realtime_dropped_frames_total",
    "Frames that were dropped because a client read slowly.",
    registry=REGISTRY,
)
WAKEUPS = Counter(
    "notifications_realtime_wakeups_total",
    "Wake-ups that were received.",
    registry=REGISTRY,
)
SWEPT = Counter(
    "notifications_realtime_swept_total",
    "People whose events no wake-up had announced, found by the check of each second.",
    registry=REGISTRY,
)
FAILURES = Counter(
    "notifications_realtime_failed_reads_total",
    "Reads of inboxes that failed and were repeated.",
    registry=REGISTRY,
)
ROOMS = Gauge(
    "notifications_realtime_rooms",
    "Rooms that connections have joined, counted in each web process.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
JOINED = Gauge(
    "notifications_realtime_joined",
    "Joins of rooms by open connections.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
JOINS_REFUSED = Counter(
    "notifications_realtime_joins_refused_total",
    "Joins of rooms that were refused or ended, by the code of the error.",
    ["code"],
    registry=REGISTRY,
)
EPHEMERAL = Counter(
    "notifications_realtime_ephemeral_total",
    "Frames of rooms and presence, given to connections or dropped because a client read slowly.",
    ["result"],
    registry=REGISTRY,
)
LAG = Histogram(
    "notifications_realtime_lag_seconds",
    "From the record of the newest arrival of a group to its sending.",
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
