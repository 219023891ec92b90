"""Server-sent events and long polls follow the same cursor as sockets."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.access.authentication import new_drf_token
from notifications.features.access.callers import revoke_drf_tokens
from notifications.features.access.sign_in.sign_ins import end_sign_ins
from notifications.features.access.tokens.families import issue_tokens
from notifications.features.inbox.tickets import issue_ticket
from notifications.infra import clock
from notifications.models import InboxEpoch, SignIn
from tests.integration.factories import make_user
from tests.integration.realtime.conftest import Live, jwt, send

pytestmark = pytest.mark.django_db(transaction=True)
STREAM, EVENTS = "/api/v1/inbox/stream", "/api/v1/inbox/events"


class Events:
    """Reads server-sent events."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.response = response
        assert response.status == 200, response.read()

    def next(self) -> dict[str, Any]:
        """Returns the next event: its id, event and data."""
        found: dict[str, Any] = {}
        while line := self.response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            found[name] = json.loads(value) if name == "data" else value
        return found if "event" in found else self.next()

    def group(self) -> list[dict[str, Any]]:
        found = [self.next()]
        while found[-1]["event"] != "unread":
            found.append(self.next())
        return found


def ticket_of(user: User) -> str:
    return issue_ticket(user.pk).text


def problem(response: http.client.HTTPResponse) -> tuple[int, str]:
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return response.status, json.loads(response.read())["code"]


def test_a_stream_sends_the_unread_then_live_events(live: Live, person: User):
    send(person)
    events = Events(live.get(STREAM, jwt(person)))
    epoch = InboxEpoch.objects.current()
    first = events.group()

    send(person)
    second = events.group()

    assert events.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert events.response.headers["Cache-Control"] == "no-store"
    assert [(each["event"], each["id"]) for each in first + second] == [
        ("notification", f"{epoch}.1"),
        ("unread", f"{epoch}.1"),
        ("notification", f"{epoch}.2"),
        ("unread", f"{epoch}.2"),
    ]


def test_a_stream_goes_on_after_the_last_event(live: Live, person: User):
    send(person, 3)
    epoch = InboxEpoch.objects.current()

    by_header = Events(live.get(STREAM, jwt(person), Last_Event_ID=f"{epoch}.2"))
    by_query = Events(live.get(f"{STREAM}?after={epoch}.1&ticket={ticket_of(person)}"))
    lost = Events(live.get(f"{STREAM}?after=other.1", jwt(person)))

    assert [each["data"].get("seq") for each in by_header.group()] == [3, 3]
    assert [each["data"].get("seq") for each in by_query.group()] == [2, 3, 3]
    assert lost.group()[0]["event"] == "resync"


def test_a_stream_that_is_left_is_forgotten(live: Live, person: User):
    events = Events(live.get(STREAM, jwt(person)))
    events.group()
    assert live.people == 1

    live.opened.close()
    send(person)

    live.wait_until(lambda: not live.people)


def test_a_stream_ends_with_its_person(live: Live, person: User):
    events = Events(live.get(f"{STREAM}?ticket={ticket_of(person)}"))
    events.group()

    User.objects.filter(pk=person.pk).update(is_active=False)

    event = events.next()
    assert event["event"] == "token", event
    assert events.response.read() == b""
    assert problem(live.get(f"{STREAM}?ticket={ticket_of(person)}")) == (401, "invalid_token")


def test_a_poll_returns_what_happened_since(live: Live, person: User):
    send(person, 2)
    epoch = InboxEpoch.objects.current()

    response = live.get(f"{EVENTS}?after={epoch}.1", jwt(person))

    found = json.loads(response.read())
    assert response.status == 200
    assert (found["epoch"], found["seq"], found["unread"]) == (epoch, 2, 2)
    assert [event["type"] for event in found["events"]] == ["notification"]
    assert found["events"][0]["data"]["seq"] == 2


def test_a_poll_waits_for_the_next_event(live: Live, person: User):
    epoch = InboxEpoch.objects.current()
    found: list[Any] = []

    def poll() -> None:
        response = live.get(f"{EVENTS}?after={epoch}.0&wait=8", jwt(person))
        found.append(json.loads(response.read()))

    polling = threading.Thread(target=poll)
    polling.start()
    live.wait_until(lambda: live.people)
    send(person)
    polling.join(8)

    assert [event["data"]["seq"] for event in found[0]["events"]] == [1]


def test_a_poll_without_events_ends_after_its_wait(live: Live, person: User):
    send(person)
    epoch = InboxEpoch.objects.current()

    quiet = json.loads(live.get(f"{EVENTS}?after={epoch}.1&wait=0", jwt(person)).read())
    lost = json.loads(live.get(f"{EVENTS}?after=other.1&wait=0", jwt(person)).read())

    assert quiet == {"events": [], "epoch": epoch, "seq": 1, "unread": 1}
    assert lost == {"resync": True, "epoch": epoch, "seq": 1}


def test_streams_refuse_as_the_api_does(live: Live, person: User):
    good = jwt(person)
    assert problem(live.get(STREAM)) == (401, "not_authenticated")
    assert problem(live.get(STREAM, "nonsense")) == (401, "invalid_token")
    assert problem(live.get(f"{STREAM}?ticket=nonsense")) == (401, "invalid_token")
    assert problem(live.get(f"{EVENTS}?ticket={ticket_of(person)}")) == (400, "unknown_parameter")
    assert problem(live.get(f"{EVENTS}?wait=26", good)) == (400, "number_out_of_range")
    assert problem(live.get(f"{EVENTS}?wait=1&wait=2", good)) == (400, "repeated_parameter")
    assert problem(live.get(f"{EVENTS}?more=1", good)) == (400, "unknown_parameter")


def test_connections_of_all_transports_count_together(live: Live, person: User):
    clients = [live.client(person) for _ in range(9)]
    stream = Events(live.get(STREAM, jwt(person)))
    stream.group()

    assert problem(live.get(EVENTS, jwt(person))) == (429, "throttled")
    assert live.client(person).close_code() == 4429
    assert clients[0].group()
    assert Events(live.get(STREAM, jwt(make_user()))).group()


def api_ticket(header: str) -> str:
    """A ticket that the API issues for an Authorization header."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header)
    return str(client.post("/api/v1/inbox/ticket").json()["ticket"])


def test_a_ticket_of_a_stored_token_has_its_own_issue_time(live: Live, person: User):
    header = f"Token {new_drf_token(person)}"
    earlier = api_ticket(header)
    User.objects.filter(pk=person.pk).update(tokens_not_before=clock.now())
    assert problem(live.get(f"{STREAM}?ticket={earlier}"))[0] == 401

    assert Events(live.get(f"{STREAM}?ticket={api_ticket(header)}")).group()


@pytest.mark.parametrize("how", ["signed out", "blocked", "password", "token revoked"])
def test_a_stream_ends_with_the_sign_in_of_its_ticket(live: Live, person: User, how: str):
    if how == "token revoked":
        ticket = api_ticket(f"Token {new_drf_token(person)}")
    else:
        ticket = api_ticket(f"Bearer {issue_tokens(person, now=clock.now()).access}")
    events = Events(live.get(f"{STREAM}?ticket={ticket}"))
    events.group()

    if how == "signed out":
        end_sign_ins(SignIn.objects.filter(user=person))
    elif how == "blocked":
        User.objects.filter(pk=person.pk).update(is_active=False)
    elif how == "password":
        person.set_password("another password")
        person.save()
    else:
        revoke_drf_tokens(person)

    event = events.next()
    assert event["event"] == "token", event
    assert events.response.read() == b""
    refused = live.get(f"{STREAM}?ticket={ticket}")
    assert problem(refused)[0] == 401
