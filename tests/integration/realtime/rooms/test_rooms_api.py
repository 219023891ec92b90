"""`POST /rooms/{room}/notify` and `GET /rooms/{room}/presence`."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.rooms import payloads
from notifications.features.rooms.presence import begin_lease, note_last_seen, write_people
from notifications.infra import clock
from notifications.models import ApiKey
from tests.integration.factories import make_user
from tests.integration.realtime.conftest import jwt
from tests.integration.realtime.rooms.conftest import CourseOf

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The payloads that were sent."""
    found: list[str] = []
    monkeypatch.setattr(payloads.inbox_wakeups, "send_frame", found.append)
    return found


def of_key(*scopes: str) -> APIClient:
    client = APIClient()
    key = ApiKey.make(name="platform", scopes=list(scopes))[1]
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


def of_person(user: User) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {jwt(user)}")
    return client


def notify(client: APIClient, room: str, body: dict[str, Any], **more: str) -> Any:
    return client.post(f"/api/v1/rooms/{room}/notify", body, format="json", **more)


def connect(*people: User, active: bool = False) -> int:
    process = begin_lease(f"process {clock.monotonic()}")
    write_people(process, {each.pk: active for each in people})
    note_last_seen([each.pk for each in people])
    return process


def test_a_key_that_may_send_notifies_a_room(sent: list[str], course_of: CourseOf):
    people = [make_user() for _ in range(3)]
    room = course_of(*people)
    connect(*people)

    made = notify(
        of_key("notifications:send"), room, {"data": {"n": 1}, "exclude_users": [people[0].pk]}
    )

    assert made.status_code == 202, made.content
    assert made.json() == {"room": room, "online": 2}
    (text,) = sent
    found = payloads.read_payload(text)
    assert found == payloads.GroupMessage(
        room.replace("course:", "room.course."),
        {
            "type": "notification_message",
            "data": {"n": 1},
            "exclude_users": [people[0].pk],
        },
    )


def test_an_idempotency_key_sends_once(sent: list[str], course_of: CourseOf):
    room, client = course_of(make_user()), of_key("notifications:send")
    body = {"data": {"n": 1}}
    answers = [notify(client, room, body, HTTP_IDEMPOTENCY_KEY="room-1").json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(sent) == 1


def test_who_may_not_is_refused(sent: list[str], course_of: CourseOf):
    person = make_user()
    room, body = course_of(person), {"data": {}}

    answers = [
        notify(of_person(person), room, body),
        notify(of_key("users:read"), room, body),
        notify(of_key("notifications:send"), "course:999999", body),
        notify(of_key("notifications:send"), "school:5", body),
        notify(of_key("notifications:send"), room, {"data": []}),
        notify(of_key("notifications:send"), room, {"data": {}, "exclude_users": [0] * 101}),
        notify(of_key("notifications:send"), room, {"data": {"t": "x" * 6_200}}),
    ]

    assert [each.status_code for each in answers] == [403, 403, 404, 400, 400, 400, 413]
    assert [each.json()["code"] for each in answers if each.status_code != 403] == [
        "unknown_room",
        "invalid_room",
        "wrong_type",
        "wrong_type",
        "payload_too_large",
    ]
    assert sent == []


def test_presence_tells_connected_active_and_seen_apart(course_of: CourseOf):
    people = [make_user() for _ in range(4)]
    room = course_of(*people)
    connect(people[0])
    connect(people[1], active=True)
    connect(people[1])
    connect(make_user())

    page = of_key("users:read").get(f"/api/v1/rooms/{room}/presence").json()
    first = of_key("users:read").get(f"/api/v1/rooms/{room}/presence?limit=1").json()

    assert (page["room"], page["online"]) == (room, 2)
    assert [(each["user_id"], each["active"]) for each in page["results"]] == [
        (people[0].pk, False),
        (people[1].pk, True),
    ]
    assert all(each["connected"] and each["last_seen"] for each in page["results"])
    assert [each["user_id"] for each in first["results"]] == [people[0].pk]
    following = of_key("users:read").get(first["next"]).json()
    assert [each["user_id"] for each in following["results"]] == [people[1].pk]


def test_a_room_of_one_lists_them_connected_or_not():
    person = make_user()
    path = f"/api/v1/rooms/user:{person.uuid}/presence"

    (before,) = of_key("users:read").get(path).json()["results"]
    connect(person)
    (after,) = of_person(person).get(path).json()["results"]

    assert (before["connected"], before["last_seen"]) == (False, None)
    assert (after["connected"], after["active"]) == (True, False)


def test_people_see_the_presence_of_their_own_rooms_alone(course_of: CourseOf):
    person, other = make_user(), make_user()
    mine, theirs = course_of(person), course_of(other)
    rooms = (mine, theirs, f"user:{person.pk}", f"user:{other.pk}", "course:999999")
    answers = [of_person(person).get(f"/api/v1/rooms/{room}/presence") for room in rooms]

    assert [each.status_code for each in answers] == [200, 403, 200, 403, 403]
    assert {each.json()["code"] for each in answers[3:]} == {"room_forbidden"}
    assert of_key("notifications:send").get(f"/api/v1/rooms/{mine}/presence").status_code == 403
