"""Both ways in to a route that is served in groups give the same responses, headers included."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from rest_framework.test import APIClient

from carillon.serving.grouped_routes import GROUPED, Call
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.domain.identifiers import public_id
from notifications.features.access.authentication import issue_access
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.models import DeliveryBatch, Notification, NotificationMessage
from tests.integration.api.conftest import KeyClient, bearer, send_body
from tests.integration.api.group_way import GroupWay
from tests.integration.factories import make_user
from tests.integration.statements import Statements

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
SEND, BULK = "/api/v1/notifications/send", "/api/v1/notifications/bulk"
PREFERENCES = "/api/v1/preferences"
STATUS = "/api/v1/notifications/{id}/status"
READ, READ_STATUS = GROUPED["GET", PREFERENCES], GROUPED["GET", STATUS]
NAMED = {"X-Request-ID": "r-1"}


def bulk_body(user: User) -> dict[str, Any]:
    listed = [{"user_id": user.pk, "channel": channel} for channel in ("in_app", "email")]
    return {"template_path": "test.hello", "recipients": listed, "context": {"amount": 5}}


def authorization(client: APIClient) -> str:
    return str(client._credentials["HTTP_AUTHORIZATION"])


def status_path(identifier: object) -> str:
    return STATUS.format(id=identifier)


def of_user(user: User) -> Notification:
    """The user's notification, made by the first call."""
    found = Notification.objects.filter(user=user).first()
    if found is None:
        NotificationService().send(body=send_body(user, channel="email"), caller=SYSTEM)
        found = Notification.objects.get(user=user)
    return found


REQUESTS: dict[str, Callable[[APIClient, User], Any]] = {
    "send": lambda client, user: client.post(SEND, send_body(user), headers=NAMED),
    "bulk": lambda client, user: client.post(BULK, bulk_body(user), headers=NAMED),
    "preferences": lambda client, user: client.get(
        f"{PREFERENCES}?user_id={user.pk}", headers=NAMED
    ),
    "status": lambda client, user: client.get(status_path(of_user(user).pk), headers=NAMED),
}


def test_every_grouped_route_is_compared() -> None:
    assert len(GROUPED) == len(REQUESTS)


@pytest.mark.parametrize("name", REQUESTS)
def test_the_headers_of_both_ways_are_the_same(
    name: str, with_key: KeyClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = with_key("notifications:send", "notifications:read", "preferences:read")
    alone = REQUESTS[name](client, user)
    way = GroupWay(monkeypatch)
    grouped = REQUESTS[name](client, user)

    assert way.answered == 1
    assert alone.status_code == grouped.status_code
    assert {k.lower(): v for k, v in alone.headers.items() if k != "Content-Length"} == {
        k.lower(): v for k, v in grouped.headers.items() if k != "Content-Length"
    }
    assert set(alone.data) == set(grouped.data)
    if name in ("preferences", "status"):
        assert alone.content == grouped.content


@pytest.mark.parametrize("seed", range(6))
def test_any_readers_of_preferences_see_what_they_see_alone(
    seed: int, with_key: KeyClient, user: User
) -> None:
    chance = random.Random(seed)
    other = make_user(username="other", email="o@example.org", external_id="p-7")
    clients = [
        bearer(issue_access(user, now=clock.now())),
        bearer(issue_access(make_user(is_staff=True), now=clock.now())),
        with_key("preferences:read"),
        with_key("notifications:send"),
        bearer("wrong"),
    ]
    clients[0].put(PREFERENCES, {"global": {"sms_enabled": True}}, format="json")
    clients[0].put(PREFERENCES, {"categories": {"course": {"email_enabled": False}}}, format="json")
    queries = [
        "",
        f"user_id={user.pk}",
        f"user_id={other.uuid}",
        "user_id=ext:p-7",
        "external_id=p-7",
        "user_id=987654321",
        "user_id=x",
        f"user_id={user.pk}&user_id={other.pk}",
        f"user_id={user.pk}&external_id=p-7",
        "unknown=1",
        "user_id=",
    ]
    asked = [(chance.choice(clients), chance.choice(queries)) for _ in range(chance.randint(1, 64))]
    calls = [Call({"authorization": authorization(client)}, query=query) for client, query in asked]
    for (client, query), grouped in zip(asked, READ.respond(calls), strict=True):
        alone = client.get(f"{PREFERENCES}?{query}")
        if grouped is None:
            assert alone.status_code != 200, (query, alone.content)
        else:
            assert (200, alone.status_code) == (grouped[0], 200), query
            assert json.loads(grouped[2]) == alone.json()


def test_a_group_of_readers_needs_three_statements(with_key: KeyClient, user: User) -> None:
    text = authorization(with_key("preferences:read"))
    people = [user, *(make_user(username=f"u{n}", email=f"u{n}@example.org") for n in range(9))]
    calls = [Call({"authorization": text}, query=f"user_id={each.pk}") for each in people]
    READ.respond(calls[:1])  # the caller is known after this

    with Statements() as made:
        assert None not in READ.respond(calls)
    assert len(made) == 3


@pytest.mark.parametrize("seed", range(6))
def test_any_readers_of_statuses_see_what_they_see_alone(
    seed: int, with_key: KeyClient, user: User
) -> None:
    chance = random.Random(seed)
    other = make_user(username="other", email="o@example.org")
    clients = [
        bearer(issue_access(user, now=clock.now())),
        bearer(issue_access(make_user(is_staff=True), now=clock.now())),
        with_key("notifications:read"),
        with_key("notifications:send"),
        bearer("wrong"),
    ]
    identifiers = names_of_notifications(user, other)
    asked = [
        (chance.choice(clients), chance.choice(identifiers), chance.choice(["", "", "a=1"]))
        for _ in range(chance.randint(1, 64))
    ]
    calls = [
        Call({"authorization": authorization(client)}, query=query, params={"id": identifier})
        for client, identifier, query in asked
    ]
    for each, grouped in zip(asked, READ_STATUS.respond(calls), strict=True):
        client, identifier, query = each
        alone = client.get(f"{status_path(quote(identifier))}?{query}")
        if grouped is None:
            assert alone.status_code != 200, (each, alone.content)
        else:
            assert (200, alone.status_code) == (grouped[0], 200), each
            assert grouped[2] == alone.content


def names_of_notifications(user: User, other: User) -> list[str]:
    """Notifications in every state, and names of none."""
    service = NotificationService()
    for changes in ({}, {"channel": "email"}, {"channels": ["email", "in_app"]}):
        for each in (user, other):
            body = {**send_body(each), **changes}
            if "channels" in changes:
                del body["channel"]
            service.send(body=body, caller=SYSTEM)
    service.send(
        body=send_body(user, scheduled_at=(clock.now() + timedelta(days=1)).isoformat()),
        caller=SYSTEM,
    )
    made = list(Notification.objects.order_by("pk"))
    Notification.objects.filter(pk=made[0].pk).update(read_at=clock.now(), template_version=None)
    message = NotificationMessage.objects.get(pk=made[1].pk)
    DeliveryBatch.objects.filter(pk=message.batch_id).update(journal=str(message.pk))
    times = {"sent_at": clock.now(), "delivered_at": clock.now(), "provider": "sandbox"}
    NotificationMessage.objects.filter(pk=made[2].pk).update(status="delivered", **times)
    Notification.objects.filter(pk=made[3].pk).update(user=None)
    NotificationMessage.objects.filter(notification=made[4]).delete()
    wrong = public_id(made[0].pk, clock.epoch_ms(made[0].created_at) + 1)
    return [
        *(str(each.pk) for each in made),
        *(str(each.uuid) for each in made),
        made[0].uuid.hex,
        str(made[1].uuid).upper(),
        f" {made[0].pk} ",
        f"0{made[0].pk}",
        str(wrong),
        "00000000-0000-4000-8000-000000000001",
        "0",
        "-1",
        "987654321",
        "9" * 18,
        "9" * 19,
        "send",
        "{id}",
    ]


def test_a_group_of_readers_of_statuses_needs_one_round_trip(
    with_key: KeyClient, user: User
) -> None:
    names = names_of_notifications(user, make_user(username="o", email="o@example.org"))
    text = authorization(with_key("notifications:read"))
    calls = [Call({"authorization": text}, params={"id": name}) for name in names]
    READ_STATUS.respond(calls[:1])  # the caller is known after this
    with Statements() as made:
        answers = READ_STATUS.respond(calls)
    assert len(made) == 1
    assert answers.count(None) == 9


def test_a_path_with_a_parameter_reaches_its_group(
    with_key: KeyClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, found, way = with_key("notifications:read"), of_user(user), GroupWay(monkeypatch)
    for path in (status_path(found.uuid), f"{status_path(found.pk)}/"):
        assert client.get(path).json()["id"] == str(found.uuid)
    assert way.answered == 2
    for path in (status_path(1 << 61), status_path("send"), f"{status_path(found.pk)}//"):
        assert client.get(path).status_code == 404
    assert client.get(f"/api/v1/notifications/{found.pk}").status_code == 200
    assert client.post(status_path(found.pk), {}).status_code == 405
    assert way.answered == 2


def test_a_long_bulk_is_served_alone(with_key: KeyClient, user: User) -> None:
    text = authorization(with_key("notifications:send"))
    body = bulk_body(user)
    longer = {**body, "recipients": body["recipients"] * 11}
    calls = [Call({"authorization": text}, json.dumps(each).encode()) for each in (body, longer)]
    short, long = GROUPED["POST", BULK].respond(calls)
    assert (short is not None, long) == (True, None)
