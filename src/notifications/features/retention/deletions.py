"""Deletions of rows that an index finds, and of small tables that are read as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from notifications.features.retention.holds import held_users
from notifications.features.retention.rules import IndexedRule
from notifications.features.retention.steps import Deletion, Step
from notifications.infra import clock
from notifications.models import InboundSender, InboundSms, StoredAttachment


def oldest(rows: QuerySet[Any]) -> Deletion:
    """Returns a deletion of the first of these rows, which are ordered as an index.

    Rows that another transaction has locked are skipped.
    """

    def delete(count: int) -> Step:
        with transaction.atomic():
            began = clock.monotonic()
            found = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
            keys = list(found[:count])
            if keys:
                rows.model._default_manager.filter(pk__in=keys).delete()
            return Step(len(keys), len(keys), clock.monotonic() - began)

    return delete


def walk(expired: QuerySet[Any]) -> Deletion:
    """Returns a deletion that reads a table once by its key, and deletes the expired rows.

    It is for a small table whose columns change too often to be indexed.
    """
    reached = 0

    def delete(count: int) -> Step:
        nonlocal reached
        with transaction.atomic():
            began = clock.monotonic()
            part = expired.model._default_manager.filter(pk__gt=reached).order_by("pk")
            keys = list(part.values_list("pk", flat=True)[:count])
            deleted = expired.filter(pk__in=keys).delete()[0] if keys else 0
            if keys:
                reached = keys[-1]
            return Step(len(keys), deleted, clock.monotonic() - began)

    return delete


def attachments(now: datetime, count: int) -> Step:
    """Deletes expired files that no message needs."""
    with transaction.atomic():
        began = clock.monotonic()
        found, deleted = StoredAttachment.objects.delete_expired(now=now, limit=count)
        return Step(found, deleted, clock.monotonic() - began)


def without_held(rule: IndexedRule, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Returns the rows without those of users under a legal hold."""
    held = held_users()
    if not held:
        return rows
    if rule.user:
        return rows.exclude(**{f"{rule.user}__in": held})
    if rows.model is not InboundSms:
        return rows
    senders = InboundSender.objects.filter(text_id=OuterRef("pk"), user_id__in=held)
    return rows.exclude(Exists(senders))
