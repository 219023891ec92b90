"""Writes hits: the evidence, and the row of engagement with its judged flags, set by set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count

from directory.keys import load_keys_of_people
from notifications.features.tracking.agents import device_of, family_of
from notifications.features.tracking.collector import Hit
from notifications.features.tracking.judging import judge
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.crypto import seal_json
from notifications.models import (
    NotificationAnalytics,
    NotificationMessage,
    TrackingEvent,
    UserNotificationPreference,
)
from notifications.models.tracking.analytics import cohort_of, complete
from vault.cells import Key
from vault.store import scope

UNSENT_S = 60
"""A hit may come before its message is recorded as sent. It waits for that so many seconds."""
_COLUMNS = (
    "pk",
    "notification_id",
    "user_id",
    "channel",
    "provider",
    "sent_at",
    "delivered_at",
    "notification__created_at",
    "notification__template_version_id",
    "notification__source",
    "notification__variant",
    "notification__category__marketing",
)


@dataclass(frozen=True, slots=True)
class TrackedMessage:
    """What the row of engagement copies of a message."""

    id: int
    notification_id: int
    user_id: int | None
    channel: str
    provider: str | None
    sent_at: datetime | None
    delivered_at: datetime | None
    created_at: datetime
    template_version_id: int | None
    source: str
    variant: str | None
    #: Whether its category is marketing: its mail has the hidden link then.
    has_trap: bool

    def cohort(self) -> dict[str, Any]:
        """Returns the columns that the row copies, by name."""
        return cohort_of(
            queued_at=self.created_at,
            sent_at=self.sent_at,
            delivered_at=self.delivered_at,
            channel=self.channel,
            template_version_id=self.template_version_id,
            provider=self.provider,
            source=self.source,
            variant=self.variant,
        )

    def row(self, hit: Hit) -> NotificationAnalytics:
        """Returns the row of engagement, as its first hit writes it."""
        return NotificationAnalytics(
            notification_id=self.id,
            opened_from_device=device_of(hit.agent),
            opened_from_location={"country": hit.country} if hit.country else {},
            user_agent=family_of(hit.agent),
            **self.cohort(),
        )


def tracked_messages(ids: Iterable[int]) -> dict[int, TrackedMessage]:
    """Returns the messages that exist, by id."""
    rows = NotificationMessage.objects.filter(pk__in=set(ids)).values_list(*_COLUMNS)
    return {row[0]: TrackedMessage(*row) for row in rows}


def write_hits(hits: Sequence[Hit]) -> list[Hit]:
    """Writes hits and judges their messages; returns those that must wait for their message.

    Hits of messages and people that no longer exist are dropped, and those of people who refuse.
    """
    with scope():
        messages = tracked_messages(hit.message_id for hit in hits)
        early = [hit for hit in hits if _is_early(hit, messages.get(hit.message_id))]
        waits = {hit.message_id for hit in early}
        people = {each.user_id for each in messages.values() if each.user_id is not None}
        keys = load_keys_of_people(people)
        refused = _refused(people)
        known = [
            hit
            for hit in hits
            if hit.message_id not in waits
            and (message := messages.get(hit.message_id)) is not None
            and message.user_id in keys
            and message.user_id not in refused
        ]
        if known:
            _write(known, messages, keys)
        return [hit for hit in hits if hit.message_id in waits]


def _refused(people: Iterable[int]) -> set[int]:
    """Returns who of these people refuses tracking now, also of mails that they already have."""
    rows = UserNotificationPreference.objects.filter(user_id__in=people, tracking_enabled=False)
    return set(rows.values_list("user_id", flat=True))


def _is_early(hit: Hit, message: TrackedMessage | None) -> bool:
    if message is None or message.sent_at is not None:
        return False
    return clock.now() - hit.at < timedelta(seconds=UNSENT_S)


def _write(hits: Sequence[Hit], messages: dict[int, TrackedMessage], keys: dict[int, Key]) -> None:
    first = {hit.message_id: hit for hit in reversed(hits)}
    with transaction.atomic():
        # Locked: a message that is deleted meanwhile takes all of its hits with it.
        found = NotificationMessage.objects.select_for_update(no_key=True).filter(pk__in=first)
        ids = list(found.order_by("pk").values_list("pk", flat=True))
        left = _room(ids)
        hits = [hit for hit in hits if hit.message_id in left]
        rows = [messages[each].row(first[each]) for each in ids]
        NotificationAnalytics.objects.bulk_create(rows, ignore_conflicts=True)
        # Two processes that judge one message take turns, so that each sees all evidence.
        locked = NotificationAnalytics.objects.select_for_update().filter(pk__in=ids)
        of_rows = {row.pk: row for row in locked.order_by("pk")}
        _complete(of_rows.values(), messages)
        events = []
        for hit in hits:
            if left[hit.message_id] > 0:
                left[hit.message_id] -= 1
                events.append(_event(hit, messages[hit.message_id], keys))
        TrackingEvent.objects.bulk_create(events)
        new = {event.message_id for event in events}
        judge({each: row for each, row in of_rows.items() if each in new}, messages)


def _complete(
    rows: Iterable[NotificationAnalytics], messages: Mapping[int, TrackedMessage]
) -> None:
    """Completes the rows that were written before their messages were recorded as sent."""
    cohorts = [(row, messages[row.pk].cohort()) for row in rows]
    completed = [row for row, cohort in cohorts if complete(row, cohort)]
    if completed:
        NotificationAnalytics.objects.bulk_update(completed, list(cohorts[0][1]))


def _room(ids: Sequence[int]) -> Counter[int]:
    """Returns how many events each message may still get."""
    stored = TrackingEvent.objects.filter(message_id__in=ids).values_list("message_id")
    counts = dict(stored.annotate(Count("pk")))
    most = environment().tracking_events_per_message
    return Counter({each: most - counts.get(each, 0) for each in ids})


def _event(hit: Hit, message: TrackedMessage, keys: dict[int, Key]) -> TrackingEvent:
    facts = {"agent": hit.agent, "network": hit.network, "headers": hit.headers}
    key = keys[message.user_id or 0]
    return TrackingEvent(
        message_id=hit.message_id,
        notification_id=message.notification_id,
        user_id=message.user_id,
        kind=hit.kind,
        link=hit.link,
        at=hit.at,
        repeats=hit.repeats,
        method=hit.method[:8],
        facts=seal_json(facts, key),
    )
