"""Reads what the counts include of stored messages, before and after a change of their status."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet

from notifications.domain.analytics.counts import Cohort, CountedState, counted_state
from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.infra import clock

_UNSENT = frozenset(MessageStatus) - REACHED - {MessageStatus.PENDING}
"""The statuses whose time is only in the history, where a message was not sent."""


class StoredState(NamedTuple):
    """The columns of a message on which its counts depend."""

    id: int
    status: str
    channel: str
    provider: str | None
    sent_at: datetime | None
    trail: str | None
    scheduled_at: datetime
    source: str
    template_version_id: int | None
    variant: str | None
    is_test: bool

    def counted(self, history: Iterable[tuple[int, str]]) -> CountedState | None:
        """Returns what the counts include of it. history: (ms, event), in any order."""
        times = [at for at, event in history if event == self.status]
        changed_at = clock.from_epoch_ms(max(times)) if times else self.scheduled_at
        return self.as_counted(changed_at)

    def as_counted(self, changed_at: datetime) -> CountedState | None:
        """Does the same where the time of its last change is known. None for a test."""
        if self.is_test:
            return None
        cohort = Cohort(
            self.channel,
            self.template_version_id,
            self.provider or "",
            self.source,
            self.variant or "",
        )
        return counted_state(self.status, cohort, sent_at=self.sent_at, changed_at=changed_at)


_COLUMNS = (
    "pk",
    "status",
    "channel",
    "provider",
    "sent_at",
    "trail",
    "scheduled_at",
    "notification__source",
    "notification__template_version_id",
    "notification__variant",
    "notification__is_test",
)


def stored_states(rows: QuerySet[Any]) -> dict[int, StoredState]:
    """Returns the states of messages by their key. rows: a queryset of NotificationMessage."""
    found = rows.order_by("pk").values_list(*_COLUMNS)
    return {row[0]: StoredState._make(row) for row in found}


def counted_before(
    states: Mapping[int, StoredState], events: QuerySet[Any]
) -> list[CountedState | None]:
    """Returns what the counts include of messages; it reads their histories where it must.

    events: a queryset of MessageEvent.
    """
    histories = histories_of(
        [s for s in states.values() if s.status in _UNSENT and s.sent_at is None], events
    )
    return [state.counted(histories.get(key, ())) for key, state in states.items()]


def entries_of_trail(trail: str | None) -> list[tuple[int, str, str]]:
    """Returns (ms, event, reason) of the entries of a message's trail."""
    return [(int(at), str(event), str(why)) for at, event, why in json.loads(f"[{trail or ''}]")]


def histories_of(
    states: Iterable[StoredState], events: QuerySet[Any]
) -> dict[int, list[tuple[int, str]]]:
    """Returns (ms, event) of all that happened to messages, by their key."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for state in states:
        found[state.id] = [(at, event) for at, event, _ in entries_of_trail(state.trail)]
    of_them = events.filter(message_id__in=list(found))
    for key, kind, at in of_them.values_list("message_id", "kind", "at"):
        found[key].append((clock.epoch_ms(at), kind))
    return found
