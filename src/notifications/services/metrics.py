"""The figures behind /metrics, and what /health knows of the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Min, Sum
from prometheus_client.core import GaugeMetricFamily

from notifications.conf import environment
from notifications.delivery.registry import chosen_channels
from notifications.domain.broadcast_lifecycle import BroadcastStatus, RecipientState
from notifications.domain.channels import Lane
from notifications.domain.sms import MICROS
from notifications.infra import clock, telemetry
from notifications.models import (
    Broadcast,
    BroadcastNews,
    DeadLetter,
    DeliveryBatch,
    KillSwitch,
    ProviderFlow,
    SmsSpend,
    WorkerProcess,
)
from notifications.spending import day_of

_MOST_HELD = 10_000
_MOST_BROADCASTS = 1_000
OVERDUE_AFTER = timedelta(seconds=30)
"""A fresh bulk of many thousands is no fault: overdue is what nobody took for so long."""


def queue_depth(now: datetime) -> dict[str, dict[str, float]]:
    """By lane: queued messages, those overdue, and the age of the oldest overdue in seconds."""
    depth = {str(lane): {"queued": 0.0, "overdue": 0.0, "age_s": 0.0} for lane in Lane}
    for lane, queued in DeliveryBatch.objects.values_list("lane").annotate(Sum("size")):
        depth[lane]["queued"] = queued
    late = now - OVERDUE_AFTER
    due = DeliveryBatch.objects.filter(due_at__lte=late, owner__isnull=True)
    for lane, overdue, oldest in due.values_list("lane").annotate(Sum("size"), Min("due_at")):
        depth[lane]["overdue"] = overdue
        depth[lane]["age_s"] = max(0.0, (now - oldest).total_seconds())
    return depth


def open_dead_letters() -> int:
    """Dead letters that wait for a person."""
    return DeadLetter.objects.filter(resolved_at__isnull=True).count()


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
    for lane, figures in queue_depth(now).items():
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
        ("notification_workers", "Workers alive.", workers_alive(now)),
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
    news = BroadcastNews.objects.count()
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


def workers_alive(now: datetime) -> int:
    """Workers whose leases stand."""
    found = WorkerProcess.objects.filter(lease_until__gt=now).aggregate(Count("pk"))
    return int(found["pk__count"])


def metrics_response() -> bytes:
    """The text of /metrics."""
    return telemetry.exposition(_gauges)
