"""A client that reads slowly costs no one else anything, and begins anew when it reads again."""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from websockets.sync.client import connect

from directory.models import User
from notifications.models import InboxArrival, NotificationMessage
from notifications.realtime import metrics
from tests.integration.factories import make_messages, make_user
from tests.integration.inbox.conftest import deliver
from tests.integration.realtime.conftest import Client, Live, jwt, send

MOST_SENT = 200
"""So many large notifications fill the buffers of a connection and its queue several times."""
pytestmark = pytest.mark.django_db(transaction=True)


def slow_socket(live: Live) -> socket.socket:
    """A connection whose buffer is small, so that it is soon full."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", live.port))
    return made


def slow_client(live: Live, user: User) -> Client:
    url = f"ws://127.0.0.1:{live.port}/ws/notifications/?token={jwt(user)}"
    opening = connect(url, sock=slow_socket(live), compression=None, max_queue=1, close_timeout=0.1)
    return Client(live.opened.enter_context(opening))


def send_large(user: User, count: int) -> None:
    for start in range(0, count, 40):
        made = make_messages(min(40, count - start), channel="in_app", user=user)
        for message in made:
            message.notification.text = {"title": "x" * 100, "message": "y" * 20_000}
            message.notification.save()
        deliver()


def is_read(live: Live, user: User, seq: int) -> bool:
    """Whether the hub has read for a person up to a position. Then it has put or dropped it."""
    return live.realtime.center.hub.places().get(user.pk, 0) >= seq


def dropped() -> float:
    return float(metrics.DROPPED._value.get())


def test_a_slow_client_begins_anew_and_others_get_theirs(live: Live, person: User):
    live.realtime.center.limits = replace(live.realtime.center.limits, queue=64)
    slow = slow_client(live, person)
    slow.group()
    other = live.client(make_user())
    other.group()
    before = dropped()
    for sent in range(40, MOST_SENT + 1, 40):
        send_large(person, 40)
        live.wait_until(partial(is_read, live, person, sent))
        if dropped() > before:
            break
    assert dropped() > before

    user = User.objects.exclude(pk=person.pk).latest("pk")
    send(user)
    assert other.group()[0]["data"]["seq"] == 1

    frames: list[dict[str, Any]] = [slow.frame()]
    while frames[-1]["type"] != "resync":
        frames.append(slow.frame())
    newest = InboxArrival.objects.filter(user_id=person.pk).latest("seq").seq
    again = slow.group()
    assert again[-1]["data"]["seq"] == newest
    assert [each["data"]["seq"] for each in again[:-1]] == [*range(newest - 49, newest + 1)]


def test_received_and_seen_are_written(live: Live, person: User):
    make_messages(2, channel="websocket", user=person)
    deliver()
    client = live.client(person)
    first, second, _ = client.group()

    client.send("ack", seq=first["data"]["seq"])
    client.send("seen", ids=[second["data"]["id"]])

    live.wait_until(lambda: NotificationMessage.objects.filter(status="delivered").count() == 1)
    live.wait_until(lambda: InboxArrival.objects.filter(seen_at__isnull=False).count() == 1)
    arrival = InboxArrival.objects.get(seen_at__isnull=False)
    assert (arrival.seq, str(arrival.uuid)) == (2, second["data"]["id"])
    delivered = NotificationMessage.objects.get(status="delivered")
    assert delivered.notification_id == InboxArrival.objects.get(seq=1).pk
    assert delivered.delivered_at is not None


def test_no_client_can_say_that_it_received_what_it_was_not_sent(live: Live, person: User):
    client = live.client(person)
    client.group()
    client.send("ack", seq=10**6)
    client.send("ping")
    client.frame()
    make_messages(1, channel="websocket", user=person)
    deliver()

    client.group()
    live.wait_for_a_round()

    assert NotificationMessage.objects.get().status == "sent"
