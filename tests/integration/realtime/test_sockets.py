"""A websocket gets all events of its person, each once and in order."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from directory.models import User
from notifications.features.inbox import actions
from notifications.infra import clock
from notifications.infra.process import inbox_wakeups
from notifications.models import ChangeKind, InboxArrival, InboxEpoch
from tests.integration.factories import make_user
from tests.integration.realtime.conftest import Live, send

pytestmark = pytest.mark.django_db(transaction=True)


def ids(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["data"]["seq"] for frame in frames if frame["type"] != "resync"]


def test_a_client_gets_its_unread_and_then_each_event_as_it_happens(live: Live, person: User):
    send(person, 2)
    client = live.client(person)
    first = client.group()

    send(person)
    second = client.group()

    assert [frame["type"] for frame in first] == ["notification", "notification", "unread"]
    assert ids(first) == [1, 2, 2]
    assert first[-1]["data"] == {
        "count": 2,
        "epoch": InboxEpoch.objects.current(),
        "seq": 2,
    }
    assert [frame["type"] for frame in second] == ["notification", "unread"]
    assert ids(second) == [3, 3]
    arrival = InboxArrival.objects.get(seq=3, user_id=person.pk)
    assert second[0]["data"]["id"] == str(arrival.uuid)
    assert second[0]["data"]["category"] == "payment"


def test_an_action_on_one_client_reaches_all_of_the_person_and_no_one_else(
    live: Live, person: User
):
    other = live.client(make_user())
    other.group()
    send(person)
    clients = [live.client(person) for _ in range(2)]
    shown = [client.group()[0]["data"]["id"] for client in clients]

    clients[0].send("mark_read", notification_id=shown[0])

    for client in clients:
        change, unread = client.group()
        assert (change["type"], change["data"]["kind"]) == ("change", "read")
        assert change["data"]["ids"] == [shown[0]]
        assert unread["data"]["count"] == 0
    assert other.stays_quiet()


ACTIONS = [
    ("mark_all_read", "read_all"),
    ("mark_unread", "unread"),
    ("snooze", "snoozed"),
    ("unsnooze", "returned"),
    ("archive", "archived"),
    ("unarchive", "unarchived"),
]


def test_each_frame_of_a_client_acts_on_its_inbox(live: Live, person: User):
    send(person)
    client = live.client(person)
    shown = client.group()[0]["data"]["id"]
    until = (clock.now() + timedelta(days=1)).isoformat()
    for type_, kind in ACTIONS:
        client.send(type_, data={"notification_id": shown, "until": until})

        assert client.group()[0]["data"]["kind"] == kind


def test_the_inbox_of_somebody_else_cannot_be_changed(live: Live, person: User):
    other = make_user()
    send(other)
    arrival = InboxArrival.objects.get(user_id=other.pk)
    client = live.client(person)
    client.group()

    client.send("archive", notification_id=str(arrival.uuid))
    client.send("seen", ids=[str(arrival.uuid)])
    client.send("ping")

    assert client.frame()["type"] == "pong"
    live.wait_until(lambda: not live.realtime.center.rounds.has_marks)
    arrival.refresh_from_db()
    assert (arrival.archived_at, arrival.seen_at) == (None, None)


def test_a_client_that_comes_back_gets_what_it_missed(live: Live, person: User):
    send(person, 3)
    epoch = InboxEpoch.objects.current()
    key = InboxArrival.objects.get(user_id=person.pk, seq=1).pk
    actions.act(person.pk, [key], ChangeKind.READ)

    client = live.client(person, f"&after={epoch}.2")

    missed = client.group()
    assert [frame["type"] for frame in missed] == ["notification", "change", "unread"]
    assert ids(missed) == [3, 4, 4]


def test_a_client_with_a_lost_position_begins_anew(live: Live, person: User):
    send(person, 2)
    epoch = InboxEpoch.objects.current()
    for after in ("other.2", f"{epoch}.99", "nonsense", f"{epoch}.-1"):
        client = live.client(person, f"&after={after}")

        frames = client.group()
        assert frames[0] == {"type": "resync", "data": {"epoch": epoch, "seq": 2}}
        assert ids(frames) == [1, 2, 2]


def test_a_client_that_missed_more_than_a_snapshot_gets_the_snapshot(live: Live, person: User):
    send(person, 52)

    client = live.client(person, f"&after={InboxEpoch.objects.current()}.1")

    frames = client.group()
    assert frames[0]["type"] == "resync"
    assert ids(frames) == [*range(3, 53), 52]


def test_an_open_socket_can_resume(live: Live, person: User):
    send(person, 2)
    client = live.client(person)
    client.group()

    client.send("resume", epoch=InboxEpoch.objects.current(), seq=1)

    assert ids(client.group()) == [2, 2]


def test_a_lost_wake_up_costs_a_second(live: Live, person: User, monkeypatch: pytest.MonkeyPatch):
    client = live.client(person)
    client.group()
    monkeypatch.setattr(inbox_wakeups, "announce", lambda _: None)

    send(person)

    assert ids(client.group()) == [1, 1]


def test_a_renewed_epoch_reaches_every_client(live: Live, person: User):
    send(person)
    client = live.client(person)
    client.group()

    fresh = InboxEpoch.objects.renew()

    frames = client.group()
    assert frames[0] == {"type": "resync", "data": {"epoch": fresh, "seq": 1}}
    assert ids(frames) == [1, 1]


def test_wrong_fields_are_answered_and_the_socket_stays(live: Live, person: User):
    client = live.client(person)
    client.group()
    codes = {
        "mark_read": "invalid_uuid",
        "snooze": "invalid_uuid",
        "resume": "invalid",
        "ack": "invalid",
        "seen": "too_many",
        "dance": "invalid_choice",
    }
    for type_, code in codes.items():
        client.send(type_)
        frame = client.frame()
        assert (frame["type"], frame["data"]["code"]) == ("error", code), type_
    client.send("ping", data={})
    assert client.frame() == {"type": "pong", "data": {}}


MALFORMED = ["", "{", "[]", "7", '{"type": 7}', '{"type": "ping", "data": 3}', "[" * 5000]


def test_a_malformed_frame_closes_with_4400(live: Live, person: User):
    for text in MALFORMED:
        client = live.client(person)

        client.send_refused(text)

        assert client.close_code() == 4400, text


def test_a_large_frame_closes_with_4413(live: Live, person: User):
    client = live.client(person)

    client.send_refused(json.dumps({"type": "ping", "more": "x" * 70_000}))

    assert client.close_code() == 4413


def test_a_large_frame_in_parts_closes_with_4413(live: Live, person: User):
    client = live.client(person)

    client.send_refused(["x" * 20_000] * 4)

    assert client.close_code() == 4413


def test_a_flood_closes_with_4429(live: Live, person: User):
    live.allow_messages(5)
    client = live.client(person)
    client.send_refused(*[json.dumps({"type": "ping"})] * 21)

    assert client.close_code() == 4429


def test_the_eleventh_connection_of_a_person_closes_with_4429(live: Live, person: User):
    clients = [live.client(person) for _ in range(10)]
    for client in clients:
        client.group()

    assert live.client(person).close_code() == 4429
    assert live.client(make_user()).group()
    clients[0].socket.close()
    live.wait_until(lambda: len(live.realtime.center.hub.people[person.pk].members) < 10)
    assert live.client(person).group()


def test_the_hub_forgets_who_left(live: Live, person: User):
    client = live.client(person)
    client.group()
    assert live.people == 1

    client.socket.close()

    live.wait_until(lambda: not live.people)
    assert live.realtime.center.hub.count == 0
