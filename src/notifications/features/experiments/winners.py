"""Ends automatic tests when their figures allow it. Only actions of people count."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db.models import F, Q, QuerySet

from notifications.domain.callers import SYSTEM
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.experiments.decision import Decision
from notifications.features.experiments.lifecycle import changing, end, require_status
from notifications.features.experiments.results import figures_of
from notifications.models import ABTestEnd, ABTestStatus, NotificationABTest

log = structlog.get_logger("carillon.experiments")
LOOK_EVERY = timedelta(minutes=5)
_AT_ONCE = 20
_NEVER_FIRST = F("looked_at").asc(nulls_first=True)


def due_tests(now: datetime) -> QuerySet[NotificationABTest]:
    """Returns the running automatic tests whose figures are due for a look."""
    due = Q(looked_at__isnull=True) | Q(looked_at__lte=now - LOOK_EVERY)
    return NotificationABTest.objects.filter(due, status=ABTestStatus.RUNNING, is_automatic=True)


def decide_due(*, now: datetime) -> int:
    """Looks at due tests, a bounded number a call; returns how many it ended.

    A test whose row cannot be judged is logged, and the others go on.
    """
    ended = 0
    for row in list(due_tests(now).order_by(_NEVER_FIRST, "pk")[:_AT_ONCE]):
        NotificationABTest.objects.filter(pk=row.pk).update(looked_at=now)
        try:
            decision = figures_of(row, now=now).decision
        except (KeyError, TypeError, ValueError) as error:  # somebody changed the row by hand
            log.error("ab-test.unreadable", test=row.pk, error=type(error).__name__)
            continue
        if decision.safe_to_stop and _end(row.pk, decision, now=now):
            ended += 1
    return ended


def _end(key: int, decision: Decision, *, now: datetime) -> bool:
    """Ends a test; returns False where another process or a person did so meanwhile."""
    try:
        with changing(
            key,
            actor=SYSTEM.name,
            action="ab-test.decided",
            at=now,
            reason=decision.explanation,
        ) as row:
            require_status(row, ABTestStatus.RUNNING)
            end(
                row,
                by=ABTestEnd.AUTOMATIC,
                winner=decision.winner or "",
                why=decision.explanation,
                now=now,
            )
    except (Conflict, NotFound):
        return False
    log.info("ab-test.decided", test=key, winner=decision.winner, conclusion=decision.conclusion)
    return True
