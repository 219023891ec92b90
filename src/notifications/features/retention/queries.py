"""Reads about storage by age: how far it is behind, and whether contents still exist."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from notifications.features.retention.indexed_rules import INDEXED
from notifications.features.retention.rules import IndexedRule
from notifications.models import Job, Notification, RetentionProgress
from notifications.models.fields import EMPTIED

EXPIRED = (
    "its texts were emptied when their retention ended (CARILLON_CONTENTS_RETENTION_DAYS):"
    " send a new one"
)
"""The detail of the error `contents_expired`."""


def lags(now: datetime) -> dict[str, float]:
    """Returns for how many seconds the oldest row of each rule is due, by the name of the rule.

    A rule that is walked is behind by the time since the rows that it has looked at became due. One
    that never ran is left out.
    """
    found: dict[str, float] = {}
    rows = RetentionProgress.objects.filter(days__isnull=False, reached_at__isnull=False)
    for rule, reached_at, days in rows.values_list("rule", "reached_at", "days"):
        if reached_at is not None and days is not None:
            due_at = reached_at + timedelta(days=days)
            found[rule] = max(found.get(rule, 0.0), (now - due_at).total_seconds(), 0.0)
    for indexed in INDEXED:
        if not indexed.small and not indexed.checks:
            found[indexed.name] = _oldest(indexed, now)
    return found


def _oldest(rule: IndexedRule, now: datetime) -> float:
    """Returns since when the first due row is due, by its age beyond that of the youngest."""
    oldest = rule.due(now).values_list(rule.column, flat=True).first()
    if oldest is None:
        return 0.0
    if isinstance(oldest, date) and not isinstance(oldest, datetime):
        oldest = datetime.combine(oldest, time(), UTC) + timedelta(days=1)
    return max(0.0, (now - rule.age() - oldest).total_seconds())


def is_emptied(key: int) -> bool:
    """Returns whether the contents of a notification were emptied, its own or its job's."""
    if Notification.objects.filter(pk=key, context=EMPTIED).exists():
        return True
    job = Job.objects.filter(notifications=key).only("pk", "key_id").first()
    return job is not None and job.is_emptied()


def is_job_emptied(job_id: int | None) -> bool:
    """Returns whether a bulk call's shared context was emptied, or its notifications deleted."""
    if job_id is None:
        return False
    job = Job.objects.filter(pk=job_id).only("pk", "key_id", "first_key", "last_key").first()
    if job is None or job.first_key is None or job.last_key is None:
        return False
    if job.is_emptied():
        return True
    keys = (job.first_key, job.last_key)
    return not Notification.objects.filter(pk__range=keys, job_id=job.pk).exists()
