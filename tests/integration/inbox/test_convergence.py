"""A snapshot and the events after it are the later snapshot, for every action in any order.

After `verify_action` of Zulip: a client that applies each event shows what a fresh one shows.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from directory.models import User
from notifications.features.inbox import actions
from notifications.features.inbox.reading import (
    InboxState,
    ShownArrival,
    ShownChange,
    read_page,
    read_since,
)
from notifications.infra import clock
from notifications.models import ChangeKind, InboxArrival
from tests.integration.factories import make_messages
from tests.integration.inbox.conftest import deliver

pytestmark = pytest.mark.django_db
SEEDS = 12
STEPS = 25
ALL = ("", "archived", "snoozed")


class Client:
    """What a client shows: it knows a snapshot, and applies events."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.start_again()

    def start_again(self) -> None:
        pages = [read_page(self.user.pk, status=status, limit=1000) for status in ALL]
        self.place = pages[0].position
        self.unread = pages[0].unread
        self.items: dict[str, dict[str, Any]] = {}
        for page in pages:
            for event in page.events:
                self.add(event)

    def add(self, event: Any) -> None:
        self.items[str(event.uuid)] = {
            "seq": event.seq,
            "content": dict(event.content),
            "read": event.read_at is not None,
            "archived": event.archived_at is not None,
            "snoozed": event.snoozed_until is not None,
        }

    def follow(self) -> None:
        state: InboxState = read_since({self.user.pk: self.place})[self.user.pk]
        if not state.continues:
            self.start_again()
            return
        assert state.position.seq >= self.place.seq
        last = self.place.seq
        for event in state.events:
            assert event.seq > last, "in order, none twice"
            last = event.seq
            if isinstance(event, ShownArrival):
                self.add(event)
            else:
                self.change(event)
        self.place, self.unread = state.position, state.unread

    def change(self, event: ShownChange) -> None:
        for public in event.terms.get("ids", ()):
            item = self.items.get(public)
            if item is None:
                continue
            if event.kind == "retracted":
                del self.items[public]
            elif event.kind == "amended":
                item["content"] = dict(event.content)
            else:
                item.update(STATES[event.kind])
        if event.kind == "read_all":
            for item in self.items.values():
                if item["seq"] <= event.terms["up_to"] and not (
                    item["archived"] or item["snoozed"]
                ):
                    item["read"] = True

    def counted(self) -> int:
        return sum(
            not (item["read"] or item["archived"] or item["snoozed"])
            for item in self.items.values()
        )


STATES: dict[str, dict[str, bool]] = {
    "read": {"read": True},
    "unread": {"read": False},
    "archived": {"archived": True, "snoozed": False},
    "unarchived": {"archived": False},
    "snoozed": {"snoozed": True, "archived": False},
    "returned": {"snoozed": False, "read": False},
}


def random_step(user: User, chance: random.Random) -> None:
    rows = InboxArrival.objects.filter(user_id=user.pk).order_by("pk")
    keys = list(rows.values_list("pk", flat=True))
    some = chance.sample(keys, min(len(keys), chance.randint(0, 3)))
    kind = chance.choice([*STATES, "retracted", "arrive", "arrive", "read_all"])
    if kind == "arrive":
        make_messages(chance.randint(1, 3), channel="in_app", user=user)
        deliver()
    elif kind == "read_all":
        actions.read_all(user.pk, up_to=chance.choice([None, chance.randint(0, 40)]))
    else:
        until = clock.now() + timedelta(hours=1) if kind == "snoozed" else None
        actions.act(user.pk, some, ChangeKind(kind), until=until)


@pytest.mark.parametrize("seed", [*range(SEEDS), 482, 723])
def test_a_snapshot_and_its_events_are_the_later_snapshot(seed: int, person: User) -> None:
    chance = random.Random(seed)
    followers: list[Client] = [Client(person)]
    for _ in range(STEPS):
        random_step(person, chance)
        if chance.random() < 0.3:
            followers.append(Client(person))
        chance.choice(followers).follow()
    fresh = Client(person)
    for client in followers:
        client.follow()
        assert client.items == fresh.items
        assert client.unread == fresh.unread == fresh.counted()
        assert client.place == fresh.place


PLACES: dict[str, Callable[[Any], Any]] = {
    "another epoch": lambda place: place._replace(epoch="other"),
    "above the counter": lambda place: place._replace(seq=place.seq + 1),
    "no position": lambda _: None,
}


@pytest.mark.parametrize("kind", PLACES)
def test_who_cannot_continue_gets_what_there_is(kind: str, person: User) -> None:
    make_messages(2, channel="in_app", user=person)
    deliver()
    place = PLACES[kind](read_page(person.pk).position)
    state = read_since({person.pk: place})[person.pk]
    assert not state.continues
    assert [event.seq for event in state.events] == [1, 2]
    assert state.unread == 2


def test_who_missed_more_than_a_snapshot_gets_a_snapshot(person: User) -> None:
    start = read_page(person.pk).position
    make_messages(60, channel="in_app", user=person)
    deliver()
    state = read_since({person.pk: start})[person.pk]
    assert not state.continues
    assert [event.seq for event in state.events] == list(range(11, 61))


def test_who_missed_nothing_gets_nothing(person: User) -> None:
    make_messages(2, channel="in_app", user=person)
    deliver()
    place = read_page(person.pk).position
    state = read_since({person.pk: place})[person.pk]
    assert state.continues
    assert state.events == []
    assert state.position == place
