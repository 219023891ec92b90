"""The order in which the hub reads for connections that wait for their first group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from notifications.realtime import hub as hubs
from notifications.realtime.hub import Hub


@dataclass(eq=False)
class Waiting:
    """What the queue reads of a connection."""

    user_id: int
    pending: Any = None
    closed: bool = False


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.shutdown()


def queue(hub: Hub, *user_ids: int) -> None:
    for user_id in user_ids:
        member: Any = Waiting(user_id)
        member.pending = hubs._Join(member, None, is_drop=False)
        hub._joins.append(member.pending)


def waiting(hub: Hub) -> list[int]:
    return [join.member.user_id for join in hub._joins]


def test_a_person_with_many_connections_delays_no_one_else(hub: Hub) -> None:
    queue(hub, *[1] * hubs.JOINS_AT_ONCE, 2, 3)
    assert list(hub._next_joins()) == [1, 2, 3]
    assert waiting(hub) == [1] * (hubs.JOINS_AT_ONCE - 1)


def test_their_further_connections_follow_at_the_end(hub: Hub) -> None:
    others = list(range(2, hubs.JOINS_AT_ONCE + 4))
    queue(hub, 1, 1, 1, *others)
    assert list(hub._next_joins()) == [1, *others[: hubs.JOINS_AT_ONCE - 1]]
    assert waiting(hub) == [*others[hubs.JOINS_AT_ONCE - 1 :], 1, 1]


def test_those_that_left_are_not_read_for(hub: Hub) -> None:
    queue(hub, 1, 2)
    hub._joins[0].member.closed = True
    assert list(hub._next_joins()) == [2]
    assert waiting(hub) == []
