"""What makes arrivals for clients, in the way the record of a slice does."""

from __future__ import annotations

import itertools
import json
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.db import InterfaceError, OperationalError, close_old_connections, transaction

from directory.keys import load_keys_of_people
from directory.models import Group, GroupMembership, User
from notifications.domain.identifiers import public_id
from notifications.features.access.authentication import issue_access
from notifications.features.rooms.payloads import send_message
from notifications.features.rooms.service import room_message
from notifications.infra import clock
from notifications.infra.crypto import seal_json
from notifications.infra.process import inbox_wakeups
from notifications.models import Category, InboxArrival, InboxEpoch
from notifications.models.inbox.epoch import keep_beat
from notifications.models.inbox.hot import NewArrival, insert_arrivals

_KEYS = 1 << 40
"""The first key: notifications of benchmarks have none that others use."""
_AT_ONCE = 50
_MOST_FAILURES = 300
_CONTENT = {
    "title": "Payment received",
    "body": "Hello Ada, we have received 29.99 EUR. Thank you.",
    "data": {"url": "/orders/7"},
}


def person_tokens(count: str, file: str) -> dict[str, Any]:
    """Writes tokens of the first people into a file, one a line."""
    now = clock.now()
    people = User.objects.order_by("pk")[: int(count)]
    Path(file).write_text("\n".join(issue_access(user, now=now) for user in people))
    return {"tokens": int(count)}


def room(count: str) -> dict[str, Any]:
    """Makes a course of the first people; returns its room."""
    group = Group.objects.create(name=f"bench {random.getrandbits(60)}", kind="course")
    people = User.objects.order_by("pk").values_list("pk", flat=True)[: int(count)]
    GroupMembership.objects.bulk_create(
        GroupMembership(group=group, user_id=user_id) for user_id in people
    )
    return {"room": f"course:{group.pk}"}


def room_frames(room: str, count: str, rate: str) -> dict[str, Any]:
    """Sends notifications to a room, so many a second."""
    began = time.monotonic()
    for number in range(int(count)):
        time.sleep(max(0.0, began + number / float(rate) - time.monotonic()))
        data = {"id": str(uuid.uuid4()), "title": "It begins", "text": "x" * 100}
        send_message(room.replace("course:", "room.course."), room_message(data))
    inbox_wakeups.flush()
    return {"sent": int(count)}


def personal(count: str, people: str, rate: str, at_once: str, file: str) -> dict[str, Any]:
    """Makes arrivals of random people, and writes when each was committed.

    Args:
        count: arrivals. people: of so many people. rate: arrivals a second; 0: without a pause.
        at_once: arrivals of a transaction. file: where public ids and times (monotonic s) go.
    """
    ids = list(User.objects.order_by("pk").values_list("pk", flat=True)[: int(people)])
    numbers = itertools.count(_KEYS + random.getrandbits(30) * 1_000_000)
    rows = list(itertools.islice(_rows(ids, numbers), int(count)))
    committed: dict[str, float] = {}
    began = time.monotonic()
    for start in range(0, len(rows), int(at_once)):
        if float(rate):
            time.sleep(max(0.0, began + start / float(rate) - time.monotonic()))
        part = rows[start : start + int(at_once)]
        with transaction.atomic():
            InboxEpoch.objects.copy_beat()
            inbox_wakeups.announce(insert_arrivals(part))
        at = time.monotonic()
        committed |= {_dashed(row.uuid): at for row in part}
    took = time.monotonic() - began
    inbox_wakeups.flush()
    Path(file).write_text(json.dumps(committed))
    return {"sent": len(rows), "s": took}


def steady(people: str, each: str, rate: str) -> dict[str, Any]:
    """Makes arrivals of each person in turn, whatever happens to the database meanwhile.

    Args:
        people: so many. each: arrivals of each of them. rate: arrivals a second.
    """
    ids = list(User.objects.order_by("pk").values_list("pk", flat=True)[: int(people)])
    numbers = itertools.count(_KEYS + random.getrandbits(30) * 1_000_000)
    makers = {user_id: _rows([user_id], numbers) for user_id in ids}
    began, sent, failures = time.monotonic(), 0, 0
    for _ in range(int(each)):
        random.shuffle(ids)
        for start in range(0, len(ids), _AT_ONCE):
            time.sleep(max(0.0, began + sent / float(rate) - time.monotonic()))
            part = [next(makers[user_id]) for user_id in ids[start : start + _AT_ONCE]]
            failures += _insert(part)
            sent += len(part)
    inbox_wakeups.flush()
    return {"sent": sent, "failures": failures}


def _insert(part: Sequence[NewArrival]) -> int:
    """Inserts arrivals, as often as it takes; returns how often it failed. They exist once."""
    failures = 0
    while True:
        try:
            keep_beat()
            with transaction.atomic():
                InboxEpoch.objects.copy_beat()
                inbox_wakeups.announce(insert_arrivals(part))
        except (OperationalError, InterfaceError):
            failures += 1
            if failures > _MOST_FAILURES:
                raise
            close_old_connections()
            time.sleep(0.2)
        else:
            return failures


def arrivals(people: str, file: str) -> dict[str, Any]:
    """Writes the public ids of the arrivals of the first people, in their order."""
    ids = list(User.objects.order_by("pk").values_list("pk", flat=True)[: int(people)])
    found: dict[int, list[str]] = {user_id: [] for user_id in ids}
    rows = InboxArrival.objects.filter(user_id__in=ids).order_by("user_id", "seq")
    for user_id, key in rows.values_list("user_id", "uuid").iterator():
        found[user_id].append(str(key))
    Path(file).write_text(json.dumps(list(found.values())))
    return {"arrivals": sum(map(len, found.values()))}


def _rows(people: Sequence[int], numbers: Iterator[int]) -> Iterator[NewArrival]:
    category = Category.objects.get(key="payment").pk
    keys = load_keys_of_people(people)
    chance = random.Random(1)
    sealed = {user_id: seal_json(_CONTENT, keys.get(user_id)) for user_id in people}
    for key in numbers:
        user_id, at = chance.choice(people), clock.now()
        uuid = public_id(key, int(at.timestamp() * 1000)).hex
        yield NewArrival(key, uuid, user_id, category, 3, sealed[user_id], at)


def _dashed(text: str) -> str:
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
