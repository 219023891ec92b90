"""Sockets join the rooms that are open to their people, and get what is sent there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection

from directory.models import Enrollment, Group, GroupMembership, Subject, User
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.features.rooms import access
from notifications.features.rooms.names import KINDS, Room, RoomRef, read_room, room_of_group
from notifications.features.rooms.payloads import send_message
from notifications.features.rooms.service import RoomService
from notifications.infra.process import inbox_wakeups
from notifications.realtime.rooms import loop
from tests.integration.factories import make_user
from tests.integration.realtime.conftest import Live, jwt
from tests.integration.realtime.rooms.conftest import CourseOf, join, opened, pong
from tests.integration.statements import Statements

pytestmark = pytest.mark.django_db(transaction=True)


def notify(room: str, **data: Any) -> None:
    RoomService().notify(room=room, data=data, caller=SYSTEM)


def test_a_member_joins_and_gets_what_is_sent_to_the_room(
    live: Live, person: User, course_of: CourseOf
):
    room = course_of(person)
    client = opened(live, person)

    answer = join(client, room)
    notify(room, title="It begins")

    assert (answer["type"], answer["data"]["room"]) == ("presence", room)
    assert client.next_of("notification") == {
        "type": "notification",
        "data": {"title": "It begins"},
        "room": room,
    }


def test_only_who_has_joined_gets_it_unless_excluded(live: Live, person: User, course_of: CourseOf):
    others = [make_user() for _ in range(2)]
    room = course_of(person, *others)
    absent, left, excluded, client = (opened(live, each) for each in (person, person, *others))
    for each in (left, excluded, client):
        assert join(each, room)["type"] == "presence"
    left.send("leave_room", room=room)
    pong(left)

    RoomService().notify(room=room, data={"n": 1}, exclude_users=[others[0].uuid], caller=SYSTEM)

    assert client.next_of("notification")["data"] == {"n": 1}
    for each in (absent, left, excluded):
        assert "notification" not in [frame["type"] for frame in pong(each)]


def test_what_is_sent_to_a_person_reaches_all_their_sockets_and_streams(live: Live, person: User):
    clients = [opened(live, person) for _ in range(2)]
    stream = live.get("/api/v1/inbox/stream", jwt(person))
    while not stream.readline().startswith(b"event: unread"):
        pass
    other = opened(live, make_user())

    notify(f"user:{person.pk}", title="Hello")

    for client in clients:
        assert client.next_of("notification") == {
            "type": "notification",
            "data": {"title": "Hello"},
        }
    lines = [stream.readline() for _ in range(4)]
    assert lines[2:] == [b"event: notification\n", b'data: {"title":"Hello"}\n']
    assert pong(other) == []


def rooms_of(person: User, teacher: User) -> dict[str, str]:
    """Makes one room of each kind that a student is in."""
    group = Group.objects.create(name="7b", kind="class")
    GroupMembership.objects.create(group=group, user=person)
    subject = Subject.objects.create(name="Physics")
    Enrollment.objects.create(student=person, subject=subject, teacher=teacher)
    return {
        "group": f"group:{group.pk}",
        "group by uuid": f"group:{group.uuid}",
        "subject": f"subject:{subject.pk}",
        "own": f"user:{person.pk}",
        "own by uuid": f"user:{person.uuid}",
    }


def test_each_kind_of_room_is_open_to_its_people_alone(live: Live, person: User):
    teacher, stranger = make_user(role="teacher"), make_user()
    rooms = rooms_of(person, teacher)
    mine, theirs, teaching = (opened(live, each) for each in (person, stranger, teacher))

    answers = {name: join(mine, room) for name, room in rooms.items()}
    refused = {name: join(theirs, room) for name, room in rooms.items()}
    taught = {name: join(teaching, room)["type"] for name, room in rooms.items()}

    assert {each["type"] for each in answers.values()} == {"presence"}
    assert answers["group by uuid"]["data"]["room"] == rooms["group"]
    assert {each["data"]["code"] for each in refused.values()} == {"room_forbidden"}
    assert [each["data"]["room"] for each in refused.values()] == list(rooms.values())
    assert [name for name, type_ in taught.items() if type_ == "presence"] == ["subject"]


def test_staff_who_may_read_users_join_courses_and_no_room_of_a_person(
    live: Live, person: User, course_of: CourseOf
):
    room = course_of(person)
    wanted = (room, "course:999999", f"user:{person.pk}")
    found = {}
    for role in ("admin", "operator", "author", "analyst"):
        client = opened(live, make_user(staff_role=role))
        found[role] = [join(client, each)["type"] for each in wanted]

    assert found["admin"] == found["operator"] == ["presence", "error", "error"]
    assert found["author"] == found["analyst"] == ["error", "error", "error"]


NOT_ROOMS = ["", "course", "course:", "course:x", "course:0", "course:-1", "school:5", "course:5:6"]


@pytest.mark.parametrize("room", [*NOT_ROOMS, "course:" + "9" * 19, "c" * 5_000, 5, None, ["x"]])
def test_a_malformed_room_is_an_error_and_the_socket_stays(live: Live, person: User, room: Any):
    client = opened(live, person)

    client.send("join_room", room=room)

    answer = client.frame()
    assert (answer["type"], answer["data"]["code"]) == ("error", "invalid_room")
    assert pong(client) == []


@pytest.mark.parametrize("kind", KINDS)
def test_both_forms_of_a_name_are_read(kind: str):
    room = Room(kind, 5)
    assert read_room(room.name) == RoomRef(kind, 5) == read_room(room.group_name)
    assert room_of_group(room.group_name) == room
    assert room_of_group("chat-5") is None
    with pytest.raises(InvalidRequest):
        read_room(room.name.replace(":", "."))


def test_a_socket_is_in_a_bounded_number_of_rooms(live: Live, person: User, course_of: CourseOf):
    live.realtime.center.rooms._limits = replace(live.realtime.center.limits, rooms=2)
    rooms = [course_of(person) for _ in range(3)]
    client = opened(live, person)

    answers = [join(client, room) for room in rooms[:2]]
    client.send("join_room", room=rooms[2])
    refused = client.next_of("error")  # a presence of the first rooms may come before
    client.send("leave_room", room=rooms[0])
    again = join(client, rooms[2])

    assert [each["type"] for each in answers] == ["presence", "presence"]
    assert refused["data"]["code"] == "too_many_rooms"
    assert again["type"] == "presence"


def test_a_flood_of_joins_closes_the_socket_and_leaves_no_room(
    live: Live, person: User, course_of: CourseOf
):
    live.allow_messages(5)
    room = course_of(person)
    client = opened(live, person)
    for _ in range(50):
        client.send("join_room", room=room)

    assert client.close_code() == 4429
    live.wait_until(lambda: not live.realtime.center.rooms.table.rooms)


def test_who_is_a_member_no_more_is_taken_out_of_the_room(
    live: Live, person: User, course_of: CourseOf, monkeypatch: pytest.MonkeyPatch
):
    stays = make_user()
    room = course_of(person, stays)
    clients = [opened(live, person), opened(live, stays)]
    for client in clients:
        join(client, room)
    monkeypatch.setattr(loop, "RECHECK_S", 0.0)

    GroupMembership.objects.filter(user=person).delete()

    answer = clients[0].next_of("error")
    notify(room, n=1)
    assert answer["data"]["code"] == "room_forbidden"
    assert answer["data"]["room"] == room
    assert clients[1].next_of("notification")["data"] == {"n": 1}
    assert pong(clients[0]) == []


def test_joins_of_many_are_decided_by_a_few_statements(course_of: CourseOf):
    people = [make_user() for _ in range(20)]
    room = Room("course", int(course_of(*people[:10]).partition(":")[2]))
    pairs = [(each.pk, room) for each in people]

    with Statements() as made:
        found = access.allowed(pairs)

    assert found == set(pairs[:10])
    assert len(made) <= 2


def test_what_is_no_message_for_sockets_is_ignored(live: Live, person: User):
    client = opened(live, person)

    send_message(f"user_{person.pk}", {"type": "chat.line", "text": "for other consumers"})
    send_message("chat", {"type": "notification_message", "data": 1})
    for text in ("nonsense", "{}", "[]", '{"people": "p%%"}', '{"to": 1, "message": {}}'):
        inbox_wakeups.send_frame(text)
    send_message(f"user_{person.pk}", {"type": "presence_update", "data": {"room": "x"}})

    assert client.frame() == {"type": "presence", "data": {"room": "x"}}


def test_a_frame_arrives_once_though_the_carrier_brings_it_back(live: Live, person: User):
    client = opened(live, person)
    for number in range(20):
        notify(f"user:{person.pk}", n=number)

    assert [client.next_of("notification")["data"]["n"] for _ in range(20)] == list(range(20))
    inbox_wakeups.flush()
    assert pong(client) == []


def test_a_frame_of_another_process_is_taken(live: Live, person: User):
    client = opened(live, person)
    live.wait_until(lambda: inbox_wakeups._listeners)
    text = f'{{"to":"user_{person.pk}","message":{{"type":"notification_message","data":7}}}}'

    for listener in tuple(inbox_wakeups._listeners):
        listener(inbox_wakeups.FRAME + "anothers" + "00000000" + text)

    assert client.next_of("notification")["data"] == 7


@pytest.mark.parametrize("size", [6_144, 6_145])
def test_data_has_at_most_six_kilobytes(person: User, size: int):
    data = {"t": "x" * (size - len('{"t":""}'))}
    excluded = [(1 << 62) + number for number in range(80)]
    call = {"room": f"user:{person.pk}", "data": data, "exclude_users": excluded}
    if size > 6_144:
        with pytest.raises(Exception, match="6 KB"):
            RoomService().notify(**call, caller=SYSTEM)
    else:
        RoomService().notify(**{**call, "exclude_users": []}, caller=SYSTEM)
    assert connection.vendor  # NOTIFY takes 8,000 bytes, a datagram 8,192
