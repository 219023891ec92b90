"""The figures of /metrics, and those of /health about the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, InterfaceError
from prometheus_client.core import GaugeMetricFamily

from notifications.delivery.registry import chosen_channels
from notifications.domain.broadcast_lifecycle import BroadcastStatus, RecipientState
from notifications.domain.channels import Lane
from notifications.domain.sms import MICROS
from notifications.engine.admission import day_of
from notifications.features.audit.backlog import audit_backlog
from notifications.features.operations.health_probes import reading_fault
from notifications.features.operations.set_aside import SetAsideService
from notifications.features.retention.queries import lags
from notifications.infra import clock, telemetry
from notifications.infra.conf import environment
from notifications.infra.database.bounded_reads import limit_read_time
from notifications.infra.database.errors import is_unavailable
from notifications.models import (
    Broadcast,
    BroadcastChange,
    DeadLetter,
    KillSwitch,
    ProviderFlow,
    SmsSpend,
    WorkerProcess,
)
from notifications.models.providers.provider_flow import moment, now_us
from notifications.policy.facts import load_stops
from notifications.queue.depth import PausedWork, lane_depths

log = structlog.get_logger("carillon.metrics")
_READ_S = 1.5
_MOST_OPEN = 10_000
_MOST_BROADCASTS = 1_000
_MOST_COUNTED = 100_000
_MOST_NAMED = 5
_STUCK_SHOWN_FOR = timedelta(minutes=10)
LATE_AFTER = {Lane.CRITICAL: 5.0, Lane.HIGH: 30.0, Lane.DEFAULT: 30.0, Lane.BULK: 30.0}
"""Seconds until a due message counts as overdue: a new bulk of many thousands is not a fault."""


def queue_depth(now: datetime | None = None) -> dict[str, dict[str, float]]:
    """Returns, by lane, the queued and overdue messages and the age of the oldest overdue one in s.

    now replaces the database's clock. Messages that are stopped, paused or behind an open breaker
    count as queued and never as overdue.
    """
    depths = lane_depths(LATE_AFTER, _blocked_work(), at=now)
    return {
        str(lane): {
            "queued": float(depth.queued),
            "overdue": float(depth.late),
            "age_s": depth.oldest_s,
        }
        for lane, depth in depths.items()
    }


def _blocked_work() -> PausedWork:
    stops = load_stops()
    broken = ProviderFlow.objects.broken(chosen_channels())
    carriers: dict[str, list[str]] = {}
    for provider, channels in chosen_channels().items():
        for channel in channels:
            carriers.setdefault(channel, []).append(provider)
    blocked = [channel for channel, keys in carriers.items() if broken.issuperset(keys)]
    return PausedWork(
        everything=stops.everything,
        channels=[*stops.values("channel"), *blocked],
        sources=frozenset(stops.values("source")),
    )


def open_dead_letters() -> int:
    """Counts open dead letters, up to 100,000 or the alert's threshold, if that is higher."""
    most = max(_MOST_COUNTED, environment().dead_letter_alert_threshold)
    return DeadLetter.objects.filter(resolved_at__isnull=True).order_by("pk")[:most].count()


def _gauges() -> Iterator[GaugeMetricFamily]:
    now = clock.now()
    size = GaugeMetricFamily(
        "notification_queue_size", "Messages in batches, by lane.", labels=["priority"]
    )
    age = GaugeMetricFamily(
        "notification_queue_age_seconds",
        "Age of the oldest due message that no worker leased, by lane.",
        labels=["priority"],
    )
    for lane, figures in queue_depth().items():
        size.add_metric([lane], figures["queued"])
        age.add_metric([lane], figures["age_s"])
    yield size
    yield age
    breakers = GaugeMetricFamily(
        "notification_breaker_open",
        "Services whose breaker is not closed, by provider.",
        labels=["provider"],
    )
    for provider, count in open_breakers().items():
        breakers.add_metric([provider], count)
    yield breakers
    failed = GaugeMetricFamily(
        "notification_items_set_aside",
        "Items of periodic work that failed three times, by work.",
        labels=["work"],
    )
    for work, items in SetAsideService().counts().items():
        failed.add_metric([work], items)
    yield failed
    yield _retention(now)
    yield from _broadcasts()
    yield from _audit()
    for name, text, value in (
        ("notification_dead_letters", "Open dead letters.", open_dead_letters()),
        (
            "notification_dead_letters_alert",
            "How many open dead letters raise the alert.",
            environment().dead_letter_alert_threshold,
        ),
        ("notification_kill_switches", "Stops in force.", KillSwitch.objects.count()),
        (
            "notification_sms_spend",
            "What today's SMS cost, in the currency of the prices.",
            SmsSpend.objects.spent(day_of(now)) / MICROS,
        ),
        (
            "notification_sms_spend_limit",
            "What a day's SMS may cost; 0 is no limit.",
            environment().sms_daily_spend / MICROS,
        ),
        ("notification_workers", "Workers alive.", workers_alive()),
    ):
        yield GaugeMetricFamily(name, text, value=value)


def _audit() -> Iterator[GaugeMetricFamily]:
    """Yields the size of the audit log, and how far its sealer is behind."""
    backlog = audit_backlog()
    for name, text, value in (
        ("notification_audit_queue", "Audit entries that are not sealed yet.", backlog.queued),
        ("notification_audit_lag_seconds", "Age of the oldest of them.", backlog.age_s),
        ("notification_audit_leaves", "Leaves of the audit tree.", backlog.leaves),
        (
            "notification_audit_checkpoint_age_seconds",
            "Age of the newest signed checkpoint.",
            backlog.checkpoint_age_s,
        ),
    ):
        yield GaugeMetricFamily(name, text, value=value)


def _retention(now: datetime) -> GaugeMetricFamily:
    """Returns by how much emptying and deleting by age is behind."""
    gauge = GaugeMetricFamily(
        "notification_retention_lag_seconds",
        "For how long the oldest row of a rule is due to be emptied or deleted.",
        labels=["rule"],
    )
    for rule, seconds in sorted(lags(now).items()):
        gauge.add_metric([rule], seconds)
    return gauge


def _broadcasts() -> Iterator[GaugeMetricFamily]:
    """Yields the recipients of running broadcasts, and whether their counts add up."""
    people = GaugeMetricFamily(
        "notification_broadcast_recipients",
        "Recipients of running broadcasts, by state.",
        labels=["state"],
    )
    totals: Counter[str] = Counter(dict.fromkeys(RecipientState, 0))
    off = broken = 0
    live = [BroadcastStatus.SENDING.value, BroadcastStatus.PAUSED.value, BroadcastStatus.SENT.value]
    rows = Broadcast.objects.filter(status__in=live).defer("error_log", "error_reasons")
    live_now = list(rows.order_by("-pk")[:_MOST_BROADCASTS])
    for broadcast in live_now:
        tally = broadcast.tally
        for state in RecipientState:
            totals[state] += getattr(tally, state)
        off += broadcast.miscounted
        broken += not tally.is_consistent
    for name_of_state, total in totals.items():
        people.add_metric([name_of_state], total)
    yield people
    changes = BroadcastChange.objects.order_by("pk")[:_MOST_COUNTED].count()
    for name, text, value in (
        ("notification_broadcasts", "Running broadcasts.", len(live_now)),
        (
            "notification_broadcast_changes",
            "Changes of recipients that are not counted yet.",
            changes,
        ),
        (
            "notification_broadcast_miscounted",
            "By how many recipients counters differed from their rows at the last check.",
            off,
        ),
        (
            "notification_broadcast_invariant_broken",
            "Broadcasts whose states do not add up to their recipients.",
            broken,
        ),
    ):
        yield GaugeMetricFamily(name, text, value=value)


def open_breakers() -> dict[str, int]:
    """Counts, by chosen provider, the services whose circuit breaker is not closed."""
    found = dict.fromkeys(chosen_channels(), 0)
    services = ProviderFlow.objects.filter(open_until__gt=0).values_list("service", flat=True)
    for service in services[:_MOST_OPEN]:
        provider = service.partition("|")[0]
        found[provider] = found.get(provider, 0) + 1
    return found


def workers_alive() -> int:
    """Counts the workers whose leases are valid."""
    living = WorkerProcess.objects.filter(lease_until__gt=moment(now_us()), ended_at__isnull=True)
    return living.count()


def stuck_workers() -> list[tuple[str, str]]:
    """Returns the workers that ended themselves within ten minutes, with their reasons."""
    since = moment(now_us()) - _STUCK_SHOWN_FOR
    rows = WorkerProcess.objects.filter(ended_at__gt=since).order_by("-ended_at")
    return list(rows.values_list("owner", "ended_reason")[:_MOST_NAMED])


def metrics_response() -> bytes:
    """Returns the text of /metrics. Without the database it has counters and one gauge."""
    return telemetry.exposition(_gauges_in_time)


def _gauges_in_time() -> Iterator[GaugeMetricFamily]:
    found: list[GaugeMetricFamily] = []
    responds = not reading_fault(_READ_S)
    if responds:
        try:
            with limit_read_time(_READ_S):
                found = list(_gauges())
        except (DatabaseError, InterfaceError) as error:
            if not is_unavailable(error):
                raise
            log.warning("metrics.unread", error=type(error).__name__)
            responds = False
    yield GaugeMetricFamily(
        "notification_database_answers",
        "Whether the database was read in time; without it the gauges are missing.",
        value=float(responds),
    )
    yield from found
