"""What sockets in a room get adds up to who is connected, whatever happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.features.rooms.names import Room
from notifications.realtime.frames import Frame
from notifications.realtime.rooms import table as tables
from notifications.realtime.rooms.table import RoomTable, send_to

ROOM = Room("course", 5)


class Socket:
    """A member of a room, and what its client has made of the frames."""

    transport = "socket"

    def __init__(self, user_id: int = 1) -> None:
        self.user_id = user_id
        self.rooms: set[Room] | None = None
        self.is_slow = False
        self.people: dict[int, bool] = {}
        self.online = 0

    def put(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._take(msgspec.json.decode(frame.data))

    def offer(self, frames: Sequence[Frame]) -> bool:
        if not self.is_slow:
            self.put(frames)
        return not self.is_slow

    def _take(self, data: Any) -> None:
        if data["is_complete"]:
            self.people.clear()
        self.people.update({each["user_id"]: each["active"] for each in data["people"]})
        for user_id in data["left"]:
            self.people.pop(user_id, None)
        self.online = data["online"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(1, 6), st.sampled_from([None, False, True])),
        st.tuples(st.just("part"), st.sets(st.integers(1, 6)), st.none()),
        st.tuples(st.just("whole"), st.none(), st.none()),
        st.tuples(st.just("slow"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("leave"), st.integers(0, 2), st.none()),
        st.tuples(st.just("join"), st.integers(0, 2), st.none()),
    ),
    max_size=40,
)


@given(STEPS)
def test_each_client_knows_who_is_connected(steps: list[tuple[str, Any, Any]]):
    table, truth = RoomTable(), dict[int, bool]()
    sockets: list[Any] = [Socket() for _ in range(3)]
    for what, which, value in steps:
        if what == "set" and value is None:
            truth.pop(which, None)
        elif what == "set":
            truth[which] = value
        elif what == "part":
            found = {user_id: truth[user_id] for user_id in which if user_id in truth}
            table.apply({ROOM: found}, which)
        elif what == "whole":
            table.apply({ROOM: dict(truth)}, None, is_whole=True)
        elif what == "slow":
            sockets[which].is_slow = value
        elif what == "leave":
            table.remove(sockets[which], ROOM)
        else:
            table.add(sockets[which], ROOM, dict(truth))
        table.catch_up()

    table.apply({ROOM: dict(truth)}, None, is_whole=True)
    for each in sockets:
        each.is_slow = False
    table.catch_up()

    joined = [each for each in sockets if each.rooms]
    assert [each.people for each in joined] == [truth] * len(joined)
    assert [each.online for each in joined] == [len(truth)] * len(joined)
    for each in sockets:
        table.forget(each)
    assert table.rooms == {}


def test_a_crowd_gets_numbers_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "MOST_PEOPLE", 3)
    table, socket = RoomTable(), Socket()
    crowd = dict.fromkeys(range(10), False)
    table.add(socket, ROOM, dict(crowd))  # type: ignore[arg-type]  # a socket of the test
    assert (socket.people, socket.online) == ({}, 10)

    table.apply({ROOM: {**crowd, 11: True}}, None)
    assert (socket.people, socket.online) == ({}, 11)
    table.apply({ROOM: {1: False, 2: True}}, None)
    assert (socket.people, socket.online) == ({1: False, 2: True}, 2)


def test_a_socket_whose_frames_were_dropped_gets_them_again():
    table, socket = RoomTable(), Socket()
    table.add(socket, ROOM, {7: True})  # type: ignore[arg-type]  # a socket of the test
    socket.people.clear()
    table.dropped(socket)  # type: ignore[arg-type]
    table.catch_up()
    assert socket.people == {7: True}


def test_an_ephemeral_frame_skips_polls_slow_clients_and_excluded_people():
    sockets: list[Any] = [Socket(user_id) for user_id in range(4)]
    sockets[1].is_slow = True
    sockets[2].transport = "poll"
    got: list[int] = []
    for each in sockets:
        each.put = lambda frames, user_id=each.user_id: got.append(user_id)
    missed = send_to(sockets, Frame("notification", {}), {3})
    assert (got, missed) == ([0], {sockets[1]})
