"""Ids of others open nothing: every route that takes an id, with the ids of somebody else.

A refusal proves something only when the id is right. So its owner makes each call, too.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.api.reach import USER_ROUTES
from notifications.api.route import Auth, Route
from notifications.api.routes import ROUTES
from notifications.infra import clock
from notifications.models import ApiKey, Notification, SignIn
from tests.attacks.conftest import person, quiet
from tests.integration.factories import make_user
from tests.integration.inbox.conftest import deliver

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("template")]
V1 = "/api/v1"
BY_NAME = {route.name: route for route in ROUTES}
OF_PEOPLE = {
    "get_notification": "notification",
    "move_notification": "scheduled",
    "notification_status": "notification",
    "explain_notification": "notification",
    "notification_receipt": "notification",
    "cancel_notification": "scheduled",
    "job_progress": "job",
    "job_members": "job",
    "cancel_job": "job",
    "cancel_scheduled": "scheduled",
    "cancel_scheduled_alias": "scheduled",
    "schedule_status": "scheduled",
    "get_schedule": "series",
    "cancel_schedule": "series",
    "get_user": "user",
    "forget_device": "device",
    "consent_receipt": "consent",
    "request_export": "user",
    "get_export": "export",
    "export_json": "export",
    "export_html": "export",
    "end_sign_in": "sign_in",
    "read_in_inbox": "arrival",
    "unread_in_inbox": "arrival",
    "archive_in_inbox": "arrival",
    "unarchive_in_inbox": "arrival",
    "snooze_in_inbox": "arrival",
    "unsnooze_in_inbox": "arrival",
    "room_presence": "room",
}
"""The routes by which people reach their own objects, and what their id names."""
OF_ALL = {"get_category", "subscribe_to_list", "unsubscribe_from_list"}
"""Routes with an id that is not of a person: everybody may read it, or join and leave it."""
NOT_YET = ("export_not_ready", "not_sealed_yet", "no_receipt")
"""Codes to the owner of an object that is not finished."""
BODIES: dict[str, Any] = {"move_notification": {"scheduled_at": "2031-01-01T10:00:00Z"}}
TOMORROW = timedelta(days=1)


def send(client: APIClient, **changes: Any) -> Any:
    body = {"template_path": "test.hello", "channel": "in_app", "context": {"amount": 5}}
    made = client.post(f"{V1}/notifications/send", {**body, **changes}, format="json")
    assert made.status_code == 201, made.content
    return made.json()["id"]


@pytest.fixture
def owned(bob: User) -> dict[str, str]:
    """The ids of what belongs to bob, by kind."""
    client, later = person(bob), (clock.now() + timedelta(days=9)).isoformat()
    arrival = send(client, user_id=bob.pk)
    deliver()
    body = {"template_path": "test.hello", "channel": "in_app", "context": {"amount": 5}}
    bulk = client.post(
        f"{V1}/notifications/bulk", {**body, "recipients": [{"user_id": bob.pk}]}, format="json"
    )
    device = client.post(f"{V1}/devices", {"token": "t-bob", "platform": "ios"}, format="json")
    consent = client.post(
        f"{V1}/consents",
        {"purpose": "marketing", "granted": True, "wording": "Yes."},
        format="json",
    )
    export = client.post(f"{V1}/privacy/users/{bob.pk}/export", {}, format="json")
    series = client.post(
        "/api/notifications/schedule",
        {
            "recipients": [bob.pk], "title": "T", "message": "M",
            "scheduled_at": later, "recurrence": "FREQ=DAILY",
        },
        format="json",
    )  # fmt: skip
    for made in (bulk, device, consent, export, series):
        assert made.status_code in (201, 202), made.content
    return {
        "arrival": arrival,
        "notification": send(client, user_id=bob.pk),
        "scheduled": send(client, user_id=bob.pk, scheduled_at=later),
        "job": str(bulk.json()["job_id"]),
        "device": str(device.json()["id"]),
        "consent": str(consent.json()["id"]),
        "export": str(export.json()["export_id"]),
        "series": str(series.json().get("schedule_id") or series.json()["id"]),
        "user": str(bob.pk),
        "sign_in": str(sign_in_of(bob).pk),
        "room": f"user:{bob.pk}",
    }


def sign_in_of(user: User) -> SignIn:
    now = clock.now()
    return SignIn.objects.create(
        user=user,
        kind=SignIn.Kind.TOKENS,
        method=SignIn.Method.PASSWORD,
        created_at=now,
        seen_at=now,
        expires_at=now + timedelta(days=1),
    )


def call(client: APIClient, route: Route, number: str, query: str = "") -> Any:
    path = re.sub(r"{\w+}", number, route.path)
    given = BODIES.get(route.name, {})
    if route.name == "snooze_in_inbox":
        given = {"until": (clock.now() + TOMORROW).isoformat()}
    body = json.dumps(given)
    return client.generic(route.method, path + query, body, "application/json")


def test_every_route_of_people_with_an_id_is_tried() -> None:
    with_id = {name for name in USER_ROUTES if BY_NAME[name].parameters}
    assert with_id - OF_ALL == OF_PEOPLE.keys()


@pytest.mark.parametrize("name", OF_PEOPLE)
def test_a_person_reaches_no_object_of_another(
    name: str, owned: dict[str, str], ada: User, bob: User
) -> None:
    number = owned[OF_PEOPLE[name]]
    for query in ("", f"?user_id={ada.pk}", f"?external_id={ada.external_id}"):
        stranger = call(person(ada), BY_NAME[name], number, query)
        assert stranger.status_code in (400, 403, 404), stranger.content
        assert stranger.status_code != 400 or query, stranger.content
    owner = call(person(bob), BY_NAME[name], number)
    # What is not built or sealed yet is reported as such, and only to its owner.
    assert owner.status_code < 300 or owner.json()["code"] in NOT_YET, owner.content


def test_a_key_without_scopes_reaches_no_object(owned: dict[str, str]) -> None:
    client = quiet(ApiKey.make(name="bare", scopes=[])[1])
    answers = {name: call(client, BY_NAME[name], owned[kind]) for name, kind in OF_PEOPLE.items()}
    assert {
        name: each.status_code for name, each in answers.items() if each.status_code != 403
    } == {}


STRANGERS = [
    route
    for route in ROUTES
    if route.auth is Auth.CALLER and route.parameters and route.name not in USER_ROUTES
]


def test_no_id_opens_a_route_of_staff_to_a_person(
    owned: dict[str, str], ada: User, staff: User
) -> None:
    """With the ids of everything that exists, their own among them."""
    key = ApiKey.make(name="of staff", scopes=["*"], owner_id=staff.pk)[0]
    numbers = {*owned.values(), str(ada.pk), str(ada.uuid), str(staff.pk), str(key.pk), "0", "me"}
    client = person(ada)
    opened = [
        (route.name, number)
        for route in STRANGERS
        for number in sorted(numbers)
        if call(client, route, number).status_code != 403
    ]
    assert opened == []
    assert len(STRANGERS) > 50


NAMED = [route for route in ROUTES if route.name in USER_ROUTES and route.auth is Auth.CALLER]


@pytest.mark.parametrize(
    "route",
    [route for route in NAMED if {"user_id"} & {query.name for query in route.query}],
    ids=lambda route: route.name,
)
def test_a_query_for_another_person_is_refused(
    route: Route, ada: User, bob: User, override_environment: Any
) -> None:
    override_environment(telegram_bot_name="carillon_bot")
    queries = [f"user_id={bob.pk}", f"user_id={bob.uuid}", f"external_id={bob.external_id}"]
    known = {each.name for each in route.query}
    for query in [each for each in queries if each.partition("=")[0] in known]:
        answer = person(ada).generic(
            route.method, f"{route.path}?{query}", "{}", "application/json"
        )
        assert answer.status_code in (403, 404), answer.content
        assert str(bob.uuid).encode() not in answer.content


@pytest.mark.parametrize("query", ["user={0.pk}", "user={0.uuid}", "external_id={0.external_id}"])
def test_a_list_never_shows_what_belongs_to_another(
    query: str, owned: dict[str, str], ada: User, bob: User
) -> None:
    answer = person(ada).get(f"{V1}/notifications?{query.format(bob)}")
    assert answer.status_code in (200, 400, 403, 404), answer.content
    for number in owned.values():
        assert f'"{number}"'.encode() not in answer.content
    assert not answer.json().get("results")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("notifications/send", {"template_path": "test.hello", "context": {"amount": 5}}),
        ("notifications/simulate", {"template_path": "test.hello", "context": {"amount": 5}}),
        ("devices", {"token": "t-new", "platform": "ios"}),
        ("consents", {"purpose": "marketing", "granted": True, "wording": "Yes."}),
        ("consents/requests", {"purpose": "marketing"}),
        ("verifications", {"kind": "email", "address": "eve@example.net"}),
    ],
)
def test_a_body_for_another_person_is_refused(
    path: str, body: dict[str, Any], ada: User, bob: User
) -> None:
    before = Notification.objects.count()
    for named in ({"user_id": bob.pk}, {"user_id": str(bob.uuid)}, {"external_id": "ext-bob"}):
        answer = person(ada).post(f"{V1}/{path}", {**body, **named}, format="json")
        assert answer.status_code in (400, 403, 404), (named, answer.content)
    assert bob.devices.count() == 0
    assert Notification.objects.count() == before


def test_a_bulk_takes_no_other_person_than_its_caller(ada: User, bob: User) -> None:
    body = {"template_path": "test.hello", "channel": "in_app", "context": {"amount": 5}}
    recipients = [{"user_id": ada.pk}, {"user_id": bob.pk}, {"external_id": "ext-bob"}]
    answer = person(ada).post(
        f"{V1}/notifications/bulk", {**body, "recipients": recipients}, format="json"
    )
    assert answer.status_code in (202, 403), answer.content
    assert not Notification.objects.filter(user=bob).exists()


def test_a_key_reaches_no_key_with_more_scopes_and_none_of_staff(staff: User) -> None:
    weak = ApiKey.make(name="weak", scopes=["api-keys:write"])[1]
    strong = ApiKey.make(name="strong", scopes=["*"])[0]
    of_staff = ApiKey.make(name="theirs", scopes=["api-keys:write"], owner_id=staff.pk)[0]
    for key in (strong, of_staff):
        for way in ("rotate_api_key", "revoke_api_key"):
            assert call(quiet(weak), BY_NAME[way], str(key.pk)).status_code == 403, way
        key.refresh_from_db()
        assert key.revoked_at is None


def test_a_key_that_reads_changes_no_job() -> None:
    """Keys have no objects of their own: their scopes say what they reach, of everybody."""
    user = make_user()
    sender = ApiKey.make(name="sender", scopes=["notifications:send", "notifications:read"])[1]
    reader = ApiKey.make(name="reader", scopes=["notifications:read"])[1]
    body = {"template_path": "test.hello", "channel": "in_app", "context": {"amount": 5}}
    recipients = [{"user_id": user.pk}]
    made = quiet(sender).post(
        f"{V1}/notifications/bulk", {**body, "recipients": recipients}, format="json"
    )
    number = str(made.json()["job_id"])
    assert call(quiet(reader), BY_NAME["job_progress"], number).status_code == 200
    assert call(quiet(reader), BY_NAME["cancel_job"], number).status_code == 403
