"""Courses with members, and their sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from directory.models import Group, GroupMembership, User
from notifications.realtime.rooms import loop
from tests.integration.realtime.conftest import Client, Live

CourseOf = Callable[..., str]


@pytest.fixture
def course_of() -> CourseOf:
    """Makes a course with some members; returns its room."""

    def make(*people: User) -> str:
        group = Group.objects.create(name=f"course {Group.objects.count()}", kind="course")
        for each in people:
            GroupMembership.objects.create(group=group, user=each)
        return f"course:{group.pk}"

    return make


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow one another at once."""
    monkeypatch.setattr(loop, "PERIOD_S", 0.02)


def opened(live: Live, user: User) -> Client:
    """Opens a socket, and reads its first group."""
    client = live.client(user)
    client.group()
    return client


def join(client: Client, room: str) -> dict[str, Any]:
    """Joins a room; returns the frame that answers."""
    client.send("join_room", room=room)
    return client.next_of("presence", "error")


def pong(client: Client) -> list[dict[str, Any]]:
    """Returns the frames up to the answer to a ping: all that was sent before it."""
    client.send("ping")
    found = [client.frame()]
    while found[-1]["type"] != "pong":
        found.append(client.frame())
    return found[:-1]
