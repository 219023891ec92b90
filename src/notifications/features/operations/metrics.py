"""The figures behind /metrics, and what /health knows of the queue."""

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
from notifications.features.operations.health_probes import reading_fault
from notifications.features.operations.set_aside import SetAsideService
from notifications.infra import clock, telemetry
from notifications.infra.conf import environment
from notifications.infra.database.bounded_reads import reads_within
from notifications.infra.database.errors import is_away
from notifications.models import (
    Broadcast,
    BroadcastNews,
    DeadLetter,
    KillSwitch,
    ProviderFlow,
    SmsSpend,
    WorkerProcess,
)
from notifications.models.providers.provider_flow import moment, now_us
from notifications.policy.facts import load_stops
from notifications.queue.depth import Held, lane_depths

log = structlog.get_logger("carillon.metrics")
_READ_S = 1.5
_MOST_HELD = 10_000
_MOST_BROADCASTS = 1_000
_MOST_COUNTED = 100_000
_MOST_NAMED = 5
_STUCK_SHOWN = timedelta(minutes=10)
LATE_AFTER = {Lane.CRITICAL: 5.0, Lane.HIGH: 30.0, Lane.DEFAULT: 30.0, Lane.BULK: 30.0}
"""Seconds. A fresh bulk of many thousands is no fault: overdue is what nobody took for so long."""


def queue_depth(now: datetime | None = None) -> dict[str, dict[str, float]]:
    """By lane: queued messages, those overdue, and the age of the oldest overdue in seconds.

    now replaces the database's clock. What is stopped, paused or behind an open breaker is queued
    and never overdue.
    """
    depths = lane_depths(LATE_AFTER, _held(), at=now)
    return {
        str(lane): {
            "queued": float(depth.queued),
            "overdue": float(depth.late),
            "age_s": depth.oldest_s,
        }
        for lane, depth in depths.items()
    }


def _held() -> Held:
    stops = load_stops()
    broken = ProviderFlow.objects.broken(chosen_channels())
    carriers: dict[str, list[str]] = {}
    for provider, channels in chosen_channels().items():
        for channel in channels:
            carriers.setdefault(channel, []).append(provider)
    held = [channel for channel, keys in carriers.items() if broken.issuperset(keys)]
    return Held(
        everything=stops.everything,
        channels=[*stops.values("channel"), *held],
        sources=frozenset(stops.values("source")),
    )


def open_dead_letters() -> int:
    """Dead letters that wait for a person; counted up to 100,000, or what makes an alert."""
    most = max(_MOST_COUNTED, environment().dead_letters_alert)
    return DeadLetter.objects.filter(resolved_at__isnull=True).order_by("pk")[:most].count()


def _gauges() -> Iterator[GaugeMetricFamily]:
    now = clock.now()
    size = GaugeMetricFamily(
        "notification_queue_size", "Messages in batches, by lane.", labels=["priority"]
    )
    age = GaugeMetricFamily(
        "notification_queue_age_seconds",
        "Age of the oldest due message that nobody leased, by lane.",
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
    aside = GaugeMetricFamily(
        "notification_items_set_aside",
        "Items of periodic work that failed again and again, by work.",
        labels=["work"],
    )
    for work, items in SetAsideService().counts().items():
        aside.add_metric([work], items)
    yield aside
    yield from _broadcasts()
    for name, text, value in (
        ("notification_dead_letters", "Dead letters that wait.", open_dead_letters()),
        (
            "notification_dead_letters_alert",
            "How many of them make an alert.",
            environment().dead_letters_alert,
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


def _broadcasts() -> Iterator[GaugeMetricFamily]:
    """Recipients of broadcasts that are under way, and whether the arithmetic holds."""
    people = GaugeMetricFamily(
        "notification_broadcast_recipients",
        "Recipients of broadcasts under way, by state.",
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
        broken += not tally.holds
    for name_of_state, total in totals.items():
        people.add_metric([name_of_state], total)
    yield people
    news = BroadcastNews.objects.order_by("pk")[:_MOST_COUNTED].count()
    for name, text, value in (
        ("notification_broadcasts", "Broadcasts under way.", len(live_now)),
        ("notification_broadcast_news", "Rows of news that are not counted yet.", news),
        (
            "notification_broadcast_miscounted",
            "By how many recipients counters were off when last held against their rows.",
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
    """How many services of each chosen provider are not taken to be well."""
    found = dict.fromkeys(chosen_channels(), 0)
    held = ProviderFlow.objects.filter(open_until__gt=0).values_list("service", flat=True)
    for service in held[:_MOST_HELD]:
        provider = service.partition("|")[0]
        found[provider] = found.get(provider, 0) + 1
    return found


def workers_alive() -> int:
    """Workers whose leases stand."""
    living = WorkerProcess.objects.filter(lease_until__gt=moment(now_us()), ended_at__isnull=True)
    return living.count()


def stuck_workers() -> list[tuple[str, str]]:
    """Workers that ended themselves a short while ago, each with what it was stuck on."""
    since = moment(now_us()) - _STUCK_SHOWN
    rows = WorkerProcess.objects.filter(ended_at__gt=since).order_by("-ended_at")
    return list(rows.values_list("owner", "ended_reason")[:_MOST_NAMED])


def metrics_response() -> bytes:
    """The text of /metrics. Without a database it has the counters, and says so."""
    return telemetry.exposition(_gauges_in_time)


def _gauges_in_time() -> Iterator[GaugeMetricFamily]:
    found: list[GaugeMetricFamily] = []
    answers = not reading_fault(_READ_S)
    if answers:
        try:
            with reads_within(_READ_S):
                found = list(_gauges())
        except (DatabaseError, InterfaceError) as error:
            if not is_away(error):
                raise
            log.warning("metrics.unread", error=type(error).__name__)
            answers = False
    yield GaugeMetricFamily(
        "notification_database_answers",
        "Whether the database was read in time; without it the gauges are missing.",
        value=float(answers),
    )
    yield from found
