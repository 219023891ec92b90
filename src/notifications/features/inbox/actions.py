"""What people and senders do with arrivals. Each action is one event, so that all clients agree.

An action locks the counter of the person first. So it sees all earlier events of that person, and
no other event gets a smaller position later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from notifications.features.background.items import Items
from notifications.infra import clock
from notifications.infra.process import inbox_wakeups
from notifications.models import (
    UNREAD,
    ChangeKind,
    InboxArrival,
    InboxChange,
    InboxCounter,
    InboxEpoch,
    Notification,
    Work,
)
from notifications.models.fields import EMPTIED
from notifications.models.inbox.epoch import keep_beat

_STANDING = Q(retracted_at__isnull=True)
MOST_ENDED = 500
"""How many snoozes one round ends."""


@dataclass(frozen=True, slots=True)
class _Verb:
    """What an action changes."""

    #: The arrivals that it changes; others already are as it wants.
    changes: Q
    #: Returns the new values of columns, at a time, with the end of a snooze.
    values: Callable[[datetime, datetime | None], Mapping[str, Any]]


_VERBS: dict[ChangeKind, _Verb] = {
    ChangeKind.READ: _Verb(Q(read_at__isnull=True), lambda at, _: {"read_at": at}),
    ChangeKind.UNREAD: _Verb(Q(read_at__isnull=False), lambda *_: {"read_at": None}),
    ChangeKind.ARCHIVED: _Verb(
        Q(archived_at__isnull=True), lambda at, _: {"archived_at": at, "snoozed_until": None}
    ),
    ChangeKind.UNARCHIVED: _Verb(Q(archived_at__isnull=False), lambda *_: {"archived_at": None}),
    ChangeKind.SNOOZED: _Verb(Q(), lambda _, until: {"snoozed_until": until, "archived_at": None}),
    # A snooze ends with an unread arrival, because its person asked to be reminded.
    ChangeKind.RETURNED: _Verb(
        Q(snoozed_until__isnull=False), lambda *_: {"snoozed_until": None, "read_at": None}
    ),
    ChangeKind.RETRACTED: _Verb(
        Q(), lambda at, _: {"retracted_at": at, "snoozed_until": None, "content": EMPTIED}
    ),
}


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action did."""

    #: The arrivals that changed.
    changed: int
    #: The unread number after it.
    unread: int
    #: The position after it: of the event, or of the last one where nothing changed.
    seq: int


@contextmanager
def locked_counter(user_id: int) -> Iterator[InboxCounter]:
    """Locks a person's counter for events, and saves it at the end of the block.

    The web processes hear of it after the commit.
    """
    keep_beat()
    with transaction.atomic():
        counter = InboxCounter.objects.lock([user_id])[user_id]
        before = counter.seq
        yield counter
        if counter.seq == before:
            return
        counter.save(update_fields=["seq", "unread"])
        InboxEpoch.objects.copy_beat()
        inbox_wakeups.announce([user_id])


def append_change(
    counter: InboxCounter, kind: ChangeKind, terms: Mapping[str, Any], *, at: datetime
) -> None:
    """Adds an event behind all others of its person, whose counter is locked."""
    counter.seq += 1
    InboxChange.objects.create(
        user_id=counter.user_id, seq=counter.seq, kind=kind, terms=dict(terms), at=at
    )


def act(
    user_id: int,
    keys: Collection[int],
    kind: ChangeKind,
    *,
    until: datetime | None = None,
    only: Q | None = None,
) -> ActionResult:
    """Does one thing with some arrivals of a person. What is so already does not change.

    Args:
        keys: the keys of notifications. Those that are not in this inbox are ignored.
        until: when a snooze ends.
        only: a further condition, which is checked while the counter is locked.
    """
    verb, at = _VERBS[kind], clock.now()
    with locked_counter(user_id) as counter:
        rows = list(
            InboxArrival.objects.filter(_STANDING, verb.changes, only or Q(), user_id=user_id)
            .filter(pk__in=keys)
            .order_by("pk")
            .only("uuid", "read_at", "archived_at", "snoozed_until", "retracted_at")
        )
        if rows:
            values = verb.values(at, until)
            was = sum(row.is_unread for row in rows)
            InboxArrival.objects.filter(pk__in=[row.pk for row in rows]).update(**values)
            for row in rows:
                for name, value in values.items():
                    setattr(row, name, value)
            counter.unread += sum(row.is_unread for row in rows) - was
            _copy_to_notifications([row.pk for row in rows], values)
            append_change(counter, kind, _terms(rows, at, until), at=at)
        return ActionResult(len(rows), counter.unread, counter.seq)


def read_all(
    user_id: int, *, up_to: int | None = None, category_id: int | None = None, category: str = ""
) -> ActionResult:
    """Marks all unread arrivals as read.

    Args:
        up_to: only those with this position or a smaller one, so that what the person has not seen
            stays unread.
        category_id, category: only those of one category.
    """
    at = clock.now()
    with locked_counter(user_id) as counter:
        limit = counter.seq if up_to is None else min(up_to, counter.seq)
        rows = InboxArrival.objects.filter(UNREAD, user_id=user_id, seq__lte=limit)
        if category_id is not None:
            rows = rows.filter(category_id=category_id)
        keys = list(rows.values_list("pk", flat=True))
        if keys:
            rows.update(read_at=at)
            _copy_to_notifications(keys, {"read_at": at})
            counter.unread -= len(keys)
            terms: dict[str, Any] = {"up_to": limit, "at": at.isoformat()}
            append_change(
                counter,
                ChangeKind.READ_ALL,
                terms | ({"category": category} if category else {}),
                at=at,
            )
        return ActionResult(len(keys), counter.unread, counter.seq)


def amend(user_id: int, key: int, changes: Mapping[str, Any]) -> bool:
    """Changes what an arrival shows; returns whether the inbox shows it.

    changes: new values of `title`, `body` and `data`.
    """
    at = clock.now()
    with locked_counter(user_id) as counter:
        row = InboxArrival.objects.filter(_STANDING, pk=key, user_id=user_id).first()
        if row is None:
            return False
        row.content = {**(row.content or {}), **changes}
        row.save(update_fields=["content"])
        terms = {"ids": [str(row.uuid)], "fields": sorted(changes)}
        append_change(counter, ChangeKind.AMENDED, terms, at=at)
    return True


def note_preferences(user_id: int) -> None:
    """Tells all clients of a person that their preferences changed, in the caller's transaction.

    A person without an inbox has no client to tell.
    """
    if not InboxCounter.objects.filter(user_id=user_id).exists():
        return
    with locked_counter(user_id) as counter:
        append_change(counter, ChangeKind.PREFERENCES, {}, at=clock.now())


def snoozes_to_end(now: datetime) -> QuerySet[InboxArrival]:
    """Returns the arrivals whose snooze is over."""
    return InboxArrival.objects.filter(snoozed_until__lte=now).order_by("snoozed_until")


def end_snoozes(*, now: datetime) -> int:
    """Returns arrivals to their inboxes whose snooze is over; returns how many.

    One person after the other: a fault of one does not stop the others.
    """
    items = Items(Work.SNOOZE, now=now)
    due = snoozes_to_end(now).exclude(user_id__in=items.waiting)
    of_people: dict[int, list[int]] = defaultdict(list)
    for user_id, key in due.values_list("user_id", "pk")[:MOST_ENDED]:
        of_people[user_id].append(key)
    over = Q(snoozed_until__lte=now)

    def end(user_id: int) -> int:
        return act(user_id, of_people[user_id], ChangeKind.RETURNED, only=over).changed

    return sum(items.run_one(each, partial(end, each), default=0) for each in sorted(of_people))


def holds(user_id: int, key: int) -> bool:
    """Returns whether a person's inbox shows a notification."""
    return InboxArrival.objects.filter(_STANDING, pk=key, user_id=user_id).exists()


def _terms(rows: Sequence[InboxArrival], at: datetime, until: datetime | None) -> dict[str, Any]:
    terms: dict[str, Any] = {"ids": [str(row.uuid) for row in rows], "at": at.isoformat()}
    return terms | ({"until": until.isoformat()} if until else {})


_DOCUMENTED = ("read_at", "archived_at", "snoozed_until")


def _copy_to_notifications(keys: Sequence[int], values: Mapping[str, Any]) -> None:
    """Writes the same state to the notifications, whose columns are documented."""
    known = {name: value for name, value in values.items() if name in _DOCUMENTED}
    if known:
        Notification.objects.filter(pk__in=keys).update(**known)
