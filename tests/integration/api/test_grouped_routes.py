"""Both ways in to a route that is served in groups give the same responses, headers included."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from carillon.serving.grouped_routes import GROUPED, Call
from directory.models import User
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from tests.integration.api.conftest import KeyClient, bearer, send_body
from tests.integration.api.group_way import GroupWay
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
SEND, BULK = "/api/v1/notifications/send", "/api/v1/notifications/bulk"
PREFERENCES = "/api/v1/preferences"
READ = GROUPED["GET", PREFERENCES]
NAMED = {"X-Request-ID": "r-1"}


def bulk_body(user: User) -> dict[str, Any]:
    listed = [{"user_id": user.pk, "channel": channel} for channel in ("in_app", "email")]
    return {"template_path": "test.hello", "recipients": listed, "context": {"amount": 5}}


REQUESTS: dict[str, Callable[[APIClient, User], Any]] = {
    "send": lambda client, user: client.post(SEND, send_body(user), headers=NAMED),
    "bulk": lambda client, user: client.post(BULK, bulk_body(user), headers=NAMED),
    "preferences": lambda client, user: client.get(
        f"{PREFERENCES}?user_id={user.pk}", headers=NAMED
    ),
}


def test_every_grouped_route_is_compared() -> None:
    assert len(GROUPED) == len(REQUESTS)


@pytest.mark.parametrize("name", REQUESTS)
def test_the_headers_of_both_ways_are_the_same(
    name: str, with_key: KeyClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = with_key("notifications:send", "preferences:read")
    alone = REQUESTS[name](client, user)
    way = GroupWay(monkeypatch)
    grouped = REQUESTS[name](client, user)

    assert way.answered == 1
    assert alone.status_code == grouped.status_code
    assert {k.lower(): v for k, v in alone.headers.items() if k != "Content-Length"} == {
        k.lower(): v for k, v in grouped.headers.items() if k != "Content-Length"
    }
    assert set(alone.data) == set(grouped.data)


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
    calls = [
        Call({"authorization": client._credentials["HTTP_AUTHORIZATION"]}, query=query)
        for client, query in asked
    ]
    for (client, query), grouped in zip(asked, READ.respond(calls), strict=True):
        alone = client.get(f"{PREFERENCES}?{query}")
        if grouped is None:
            assert alone.status_code != 200, (query, alone.content)
        else:
            assert (200, alone.status_code) == (grouped[0], 200), query
            assert json.loads(grouped[2]) == alone.json()


def test_a_group_of_readers_needs_three_statements(with_key: KeyClient, user: User) -> None:
    text = with_key("preferences:read")._credentials["HTTP_AUTHORIZATION"]
    people = [user, *(make_user(username=f"u{n}", email=f"u{n}@example.org") for n in range(9))]
    calls = [Call({"authorization": text}, query=f"user_id={each.pk}") for each in people]
    READ.respond(calls[:1])  # the caller is known after this

    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert None not in READ.respond(calls)
    assert len(captured) == 3


def test_a_long_bulk_is_served_alone(with_key: KeyClient, user: User) -> None:
    text = with_key("notifications:send")._credentials["HTTP_AUTHORIZATION"]
    body = bulk_body(user)
    longer = {**body, "recipients": body["recipients"] * 11}
    calls = [Call({"authorization": text}, json.dumps(each).encode()) for each in (body, longer)]
    short, long = GROUPED["POST", BULK].respond(calls)
    assert (short is not None, long) == (True, None)
