"""Accepts scheduled notifications: builds the intents, and accepts each due time at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from notifications.domain.callers import Caller
from notifications.domain.channels import Priority
from notifications.engine.shared_rows import category_by_key, category_facts
from notifications.features.access.limits import check_category
from notifications.intake.accept import Intent, SendTarget, accept
from notifications.intake.request import Terms
from notifications.models import Job, ScheduleSeries

JOB_KIND = "schedule"
MAX_CALLS = 4  # the first call, and retries after 5, 10 and 20 minutes
_NO_CATEGORY = "system"


@dataclass(frozen=True, slots=True)
class DueGroup:
    """People whose notifications are due at the same time."""

    at: datetime
    #: User ids.
    people: Sequence[int]
    #: When it is too late to send; None for never.
    expires_at: datetime | None = None


def build_intent(terms: Terms, kind: str, caller: Caller) -> Intent:
    """Returns the intent of a request. A type that is a category's key selects that category.

    Raises:
        Refused: category_not_allowed, for a member of staff whose groups do not include it.
    """
    category = category_by_key(kind) or category_by_key(_NO_CATEGORY)
    assert category is not None, "the category system is seeded and cannot be deleted"
    check_category(caller, category.id)
    return Intent(
        terms=replace(terms, category=category.key),
        priority=Priority(terms.priority or Priority.MEDIUM),
        category_id=category.id,
        category_key=category.key,
        template_version_id=None,
        source=caller.source,
        is_test=caller.is_test,
        type=kind,
        max_attempts=MAX_CALLS,
    )


def build_series_intent(series: ScheduleSeries) -> Intent:
    """Returns the intent of a stored series."""
    key = category_facts(series.category_id).key
    terms = Terms(
        template_path="",
        channels=tuple(series.channels),
        priority=series.priority,
        category=key,
        context={},
        scheduled_at=None,
        expires_at=None,
        collapse_key=None,
        ordering_key=None,
        options={"retry_policy": "scheduled"},
    )
    return Intent(
        terms=terms,
        priority=Priority(series.priority),
        category_id=series.category_id,
        category_key=key,
        template_version_id=None,
        source=series.source,
        is_test=series.is_test,
        type=series.type,
        max_attempts=MAX_CALLS,
    )


def accept_groups(
    intent: Intent, text: Mapping[str, Any], dues: Sequence[DueGroup], *, total: int, now: datetime
) -> tuple[Job, dict[int, int]]:
    """Writes one notification for each person, and a job that stores the text once.

    Returns the job, and the notification's key by user id. The caller is in a transaction.
    """
    job = Job.objects.create(
        kind=JOB_KIND,
        source=intent.source,
        context=dict(text),
        total=total,
        accepted=0,
        created_at=now,
    )
    keys: dict[int, int] = {}
    messages: list[int] = []
    for due in dues:
        terms = replace(intent.terms, scheduled_at=due.at, expires_at=due.expires_at)
        targets = [SendTarget(person, terms.channels) for person in due.people]
        accepted = accept(replace(intent, terms=terms), targets, now=now, job=job)
        keys.update(zip(due.people, accepted.notification_keys, strict=True))
        messages += (min(accepted.message_keys), max(accepted.message_keys))
    if messages:
        job.accepted, job.first_key, job.last_key = len(keys), min(messages), max(messages)
        job.save(update_fields=["accepted", "first_key", "last_key"])
    return job, keys
