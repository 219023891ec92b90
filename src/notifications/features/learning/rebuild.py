"""Counts anew, from the messages that still exist, at which hours people engage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time

from django.db import connection, transaction

from notifications.domain.learning.counts import HourCounts
from notifications.domain.learning.hours import day_of_period, first_period
from notifications.features.learning.counting import add_changes, clear, engagement_changes
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.models import NotificationAnalytics, NotificationMessage, WorkerProcess
from notifications.models.learning.hand_over import is_learning, stored_hand_overs

_AT_ONCE = {"postgresql": 2_000, "sqlite": 200}


class LearningIsOff(Exception):
    """The service learns nothing, so there is nothing to count."""


class WorkersLearn(Exception):
    """A worker runs: what it hands over meanwhile would be counted twice."""


def rebuild(*, report: Callable[[int], object] = lambda key: None) -> int:
    """Deletes what was learned, and counts it from the messages; returns how many it looked at.

    No process of the service may run meanwhile. A run that ends early is begun again.

    Args:
        report: is called with the key that was reached.

    Raises:
        LearningIsOff: CARILLON_LEARNING is off.
        WorkersLearn: a worker runs.
    """
    if not is_learning():
        raise LearningIsOff
    if WorkerProcess.objects.filter(lease_until__gt=database_now(), ended_at=None).exists():
        raise WorkersLearn
    with transaction.atomic():
        clear()
    first = day_of_period(first_period(clock.now(), environment().learning_days))
    oldest = datetime.combine(first, time(), UTC)
    after = total = 0
    while keys := _next(after, oldest):
        with transaction.atomic():
            _count(keys)
        after = keys[-1]
        total += len(keys)
        report(after)
    return total


def _next(after: int, oldest: datetime) -> list[int]:
    """Returns the keys of the next messages that were sent since then."""
    rows = NotificationMessage.objects.filter(pk__gt=after, sent_at__gte=oldest).order_by("pk")
    return list(rows.values_list("pk", flat=True)[: _AT_ONCE[connection.vendor]])


def _count(keys: list[int]) -> None:
    messages = NotificationMessage.objects.filter(pk__in=keys)
    handed = stored_hand_overs(messages).values()
    add_changes([(each, HourCounts(handed=1)) for each in handed])
    # Bits that rollups do not include yet are added when they do.
    rows = NotificationAnalytics.objects.filter(pk__in=keys)
    add_changes(engagement_changes({_as_counted(row): 0 for row in rows}))


def _as_counted(row: NotificationAnalytics) -> NotificationAnalytics:
    row.flags = row.counted
    return row
