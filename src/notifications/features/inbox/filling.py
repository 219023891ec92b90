"""Puts what an older release delivered into inboxes, and corrects unread numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Min, QuerySet

from directory.keys import load_keys_of_people
from notifications.domain.channels import ROW_CHANNELS
from notifications.domain.lifecycle import REACHED
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.crypto import seal_json
from notifications.models import (
    InboxArrival,
    InboxCounter,
    NotificationMessage,
)
from notifications.models.fields import EMPTIED
from notifications.models.inbox.hot import recount_unread
from vault.store import scope

AT_ONCE = 500
Report = Callable[[int], object]
"""Takes how many rows were handled since the last call."""


def count_missing() -> int:
    """Returns how many messages of an older release have no arrival."""
    return _missing(None).count()


def count_inboxes() -> int:
    """Returns how many people have an inbox."""
    return InboxCounter.objects.count()


def fill_inboxes(report: Report) -> int:
    """Makes arrivals of what an older release delivered, as read; returns how many.

    They stand behind all others, with positions below 1, and are no events: a client finds them
    when it reads further pages. It may be interrupted and repeated, and runs beside the service.
    """
    made, before = 0, None
    while rows := list(_missing(before)[:AT_ONCE]):
        before = rows[-1].pk
        with scope():
            made += _fill(rows)
        report(len(rows))
    return made


def recount(report: Report) -> int:
    """Corrects unread numbers that differ from the arrivals; returns how many it corrected.

    They differ only after a fault: the transaction of each event changes both.
    """
    corrected, last = 0, 0
    while users := list(
        InboxCounter.objects.filter(user_id__gt=last)
        .order_by("user_id")
        .values_list("user_id", flat=True)[:AT_ONCE]
    ):
        last = users[-1]
        with transaction.atomic():
            before = {key: row.unread for key, row in InboxCounter.objects.lock(users).items()}
            recount_unread(users)
            after = dict(
                InboxCounter.objects.filter(user_id__in=users).values_list("user_id", "unread")
            )
        corrected += sum(after[key] != number for key, number in before.items())
        report(len(users))
    return corrected


def _missing(before: int | None) -> QuerySet[NotificationMessage]:
    age = timedelta(days=environment().inbox_retention_days)
    rows = NotificationMessage.objects.filter(
        channel__in=ROW_CHANNELS,
        status__in=REACHED,
        user_id__isnull=False,
        notification__arrival__isnull=True,
        notification__created_at__gte=clock.now() - age,
    )
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return rows.select_related("notification").order_by("-pk")


def _fill(rows: Sequence[NotificationMessage]) -> int:
    people = {row.user_id for row in rows if row.user_id is not None}
    keys = load_keys_of_people(people)
    known: set[int] = set()
    made: list[InboxArrival] = []
    with transaction.atomic():
        InboxCounter.objects.lock(people)
        of_people = InboxArrival.objects.filter(user_id__in=people)
        places = dict(of_people.values_list("user_id").annotate(lowest=Min("seq")))
        for row in rows:
            user_id, notification = row.user_id, row.notification
            if user_id is None or notification.pk in known or user_id not in keys:
                continue  # its twin on the other channel made it, or the person is erased
            known.add(notification.pk)
            places[user_id] = min(places.get(user_id, 1), 1) - 1
            at = row.delivered_at or row.sent_at or notification.created_at
            made.append(
                InboxArrival(
                    notification=notification,
                    uuid=notification.uuid,
                    user_id=user_id,
                    seq=places[user_id],
                    category_id=notification.category_id,
                    priority=notification.priority,
                    content=seal_json(row.content, keys[user_id]) if row.content else EMPTIED,
                    arrived_at=at,
                    read_at=notification.read_at or at,
                )
            )
        InboxArrival.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)
