"""Every route with every single scope, held against the one table of what scopes reach."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from carillon.cli.docs import PAGES, ROOT
from directory.models import Device
from notifications.api.permissions.other_urls import OTHER_URLS
from notifications.api.reach import (
    PERSON_ROUTES,
    PUBLIC_ROUTES,
    SCOPE_REACH,
    USER_ROUTES,
)
from notifications.api.route import Auth
from notifications.api.routes import ROUTES
from notifications.delivery.callbacks.base import IncomingCall
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from notifications.models import (
    SCOPES,
    ApiKey,
    Broadcast,
    Category,
    DeadLetter,
    NotificationMessage,
    ProviderCallback,
    SandboxMessage,
)
from tests.integration.broadcasts.factories import make_broadcast
from tests.integration.factories import make_template, make_user, make_willing_user
from tests.integration.preferences.conftest import work

pytestmark = [pytest.mark.django_db, pytest.mark.once]
CODE = "4938-1726-code"
ABSENT = "999999"
V1 = "/api/v1"
OPENS = r"/(unsubscribe|preferences|confirm|your-data)/[A-Za-z0-9]"


def plain(token: str) -> APIClient:
    """A client that holds nothing against the document: thousands of calls are made here."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def holding(*scopes: str) -> APIClient:
    return plain(ApiKey.make(name="single", scopes=list(scopes))[1])


def path_of(route: Any, **names: str) -> str:
    return re.sub(
        r"{(\w+)}",
        lambda found: names.get(found[1], "twilio" if found[1] == "provider" else ABSENT),
        route.path,
    )


def call(client: APIClient, route: Any, **names: str) -> Any:
    """With an empty object for a body: guards come before it."""
    return client.generic(route.method, path_of(route, **names), "{}", "application/json")


def is_refused(response: Any, scope: str) -> bool:
    """Whether a key is refused: for its scopes, or because only a person has an inbox."""
    codes = ("missing_scope", "person_required")
    return response.status_code == 403 and response.json().get("code") in codes


def test_the_table_has_every_route_and_every_scope_once() -> None:
    guarded = {route.name for route in ROUTES if route.auth is Auth.CALLER}
    listed = [name for reach in SCOPE_REACH.values() for name in reach.routes]

    assert sorted([*listed, *PERSON_ROUTES]) == sorted(guarded)
    assert set(SCOPE_REACH) == set(SCOPES)
    assert set(PUBLIC_ROUTES) == {route.name for route in ROUTES if route.auth is Auth.PUBLIC}
    assert guarded >= USER_ROUTES


@pytest.mark.parametrize("scope", [*SCOPES, ""])
def test_a_single_scope_reaches_its_routes_and_no_other(scope: str) -> None:
    client, wrong = holding(*([scope] if scope else [])), []
    reached = SCOPE_REACH[scope].routes if scope else frozenset()
    for route in ROUTES:
        if route.auth is Auth.PUBLIC:
            continue
        response = call(client, route)
        refused = is_refused(response, scope)
        inside = response.status_code not in (401, 403)
        if (route.name in reached) is not inside or refused is inside:
            wrong.append((route.name, response.status_code))
    assert not wrong


def test_what_is_public_is_the_same_with_any_scope() -> None:
    anonymous = APIClient(raise_request_exception=False)
    public = [route for route in ROUTES if route.auth is Auth.PUBLIC]
    wanted = {route.name: call(anonymous, route).status_code for route in public}
    for scope in SCOPES:
        client = holding(scope)
        assert {route.name: call(client, route).status_code for route in public} == wanted


def test_no_scope_opens_another_door() -> None:
    client, anonymous = holding("*"), APIClient(raise_request_exception=False)
    elsewhere = {"REMOTE_ADDR": "203.0.113.7"}  # not this machine
    for door in OTHER_URLS:
        path = "/" + re.sub(r"<\w+:\w+>", "1", door)
        for method in ("GET", "POST"):
            ours = client.generic(method, path, **elsewhere)
            theirs = anonymous.generic(method, path, **elsewhere)
            assert (ours.status_code, ours.get("Location")) == (
                theirs.status_code,
                theirs.get("Location"),
            ), door


SEND = {"template_path": "test.hello", "channel": "email", "context": {"amount": 5}}
BROADCAST = {"target_group": "custom", "message": "Hi", "channels": ["in_app"]}
TEXTS = {
    "path": "test.urgent",
    "name": "Urgent",
    "category": "payment",
    "supported_channels": ["in_app"],
    "in_app_template": "Hi",
}


@pytest.mark.parametrize(
    ("base", "further", "method", "path", "body"),
    [
        (
            "notifications:send",
            "notifications:address",
            "post",
            "/api/v1/notifications/send",
            {**SEND, "to": {"email": "ann@example.org"}},
        ),
        (
            "notifications:send",
            "notifications:address",
            "post",
            "/api/v1/notifications/simulate",
            {**SEND, "to": {"email": "ann@example.org"}},
        ),
        *(
            (
                "notifications:send",
                "priority:critical",
                "post",
                f"/api/v1/notifications/{verb}",
                body,
            )
            for verb, body in (
                ("send", {**SEND, "priority": 1}),
                ("send", {**SEND, "priority": "critical"}),
                ("bulk", {**SEND, "priority": "urgent"}),
                ("simulate", {**SEND, "priority": 1}),
            )
        ),
        *(
            (
                "notifications:send",
                "preferences:bypass",
                "post",
                f"/api/v1/notifications/{verb}",
                {**SEND, "options": {"bypass_preferences": True}},
            )
            for verb in ("send", "bulk", "simulate")
        ),
        (
            "notifications:send",
            "priority:critical",
            "post",
            "/api/notifications/schedule",
            {"title": "A", "message": "B", "scheduled_at": "2030-06-01T12:00:00Z", "priority": 1},
        ),
        (
            "broadcasts",
            "priority:critical",
            "post",
            "/api/admin/broadcasts",
            {**BROADCAST, "priority": 1},
        ),
        (
            "templates:write",
            "priority:critical",
            "post",
            "/api/v1/templates",
            {**TEXTS, "default_priority": 1},
        ),
        (
            "templates:write",
            "priority:critical",
            "post",
            "/api/v1/templates",
            {**TEXTS, "default_priority": "critical"},
        ),
        (
            "providers:write",
            "notifications:address",
            "post",
            "/api/v1/providers/sandbox/test",
            {"to": "ann@example.org", "body": "Buy now"},
        ),
        (
            "providers:write",
            "notifications:address",
            "post",
            "/api/v1/providers/sandbox/test",
            {"to": "ann@example.org", "title": "Buy now"},
        ),
        ("api-keys:write", "operations", "post", "/api/v1/api-keys", {"scopes": ["operations"]}),
        ("api-keys:write", "*", "post", "/api/v1/api-keys", {"scopes": ["*"]}),
    ],
)
def test_what_needs_a_further_scope_is_refused_without_it(
    base: str, further: str, method: str, path: str, body: dict[str, Any], template: Any
) -> None:
    person = make_willing_user()
    make_template("test.plain", email_body_template="{{ amount }}", required_variables=[])
    given = {**body, "template_path": "test.plain"} if "to" in body and "channel" in body else body
    given = dict(given)
    if path.endswith(("send", "simulate")) and "to" not in given:
        given["user_id"] = person.pk
    elif path.endswith("bulk"):
        given["recipients"] = [{"user_id": person.pk}]
    elif path.endswith("schedule"):
        given["recipients"] = [person.pk]
    elif path.endswith("broadcasts"):
        given["target_filter"] = {"user_ids": [person.pk]}
    elif path.endswith("api-keys"):
        given["name"] = "k"

    without = getattr(holding(base), method)(path, given, format="json")
    every = [scope for scope in SCOPES if scope not in (further, base)]
    others = getattr(holding(base, *every), method)(path, given, format="json")
    having = getattr(holding(base, further), method)(path, given, format="json")

    for refused in (without, others):
        assert refused.status_code == 403, refused.content
        assert refused.json()["code"] == "missing_scope"
    assert having.status_code < 300, having.content


def test_a_critical_template_stays_so_for_its_author(template: Any) -> None:
    template.default_priority = 1
    template.save()

    answer = holding("templates:write").put(
        f"/api/v1/templates/{template.pk}", {"name": "Other", "default_priority": 1}, format="json"
    )

    assert answer.status_code == 200, answer.content


@pytest.fixture
def reported(
    as_staff: APIClient, with_key: Callable[..., APIClient], frozen: Any
) -> dict[str, str]:
    """Messages with a code and links, in every state that something answers; their ids."""
    make_template(
        "test.links",
        category=Category.objects.get(key="course"),
        supported_channels=["in_app", "email"],
        required_variables=[],
        email_subject_template="Code",
        email_body_template="{{ code }} {{ unsubscribe_url }} {{ preferences_url }}",
        in_app_template="{{ code }}\n\n{{ code }} {{ unsubscribe_url }}",
    )
    person = make_willing_user()
    Device.objects.create(user=person, token=f"{CODE}-device")
    body = {"template_path": "test.links", "context": {"code": CODE}}
    sender = with_key("*")
    one = sender.post(
        "/api/v1/notifications/send",
        {**body, "user_id": person.pk, "channels": ["in_app", "email"]},
        format="json",
        headers={"Idempotency-Key": "k"},
    ).json()
    job = sender.post(
        "/api/v1/notifications/bulk",
        {**body, "channel": "email", "recipients": [{"user_id": person.pk}]},
        format="json",
    ).json()
    assert work() > 0
    dead = NotificationMessage.objects.filter(channel="email").last()
    assert dead is not None
    DeadLetter.objects.create(
        message_id=dead.pk,
        notification_id=dead.notification_id,
        channel="email",
        code="x",
        last_error="refused",
        last_result={"body": CODE},
        failed_at=clock.now(),
    )
    hook = as_staff.post("/api/v1/webhooks", {"url": "https://example.com/h"}, format="json").json()
    call = IncomingCall("POST", "https://x/", {}, {}, CODE.encode())
    ProviderCallback.objects.create(
        provider="generic", digest="d", call=call.as_json(), received_at=clock.now()
    )
    broadcast: Broadcast = make_broadcast()
    return {
        "notification": one["id"],
        "job_id": job["job_id"],
        "webhook": str(hook["id"]),
        "user": str(person.pk),
        "broadcast": str(broadcast.pk),
        "secret": hook["secret"],
    }


def test_no_answer_hands_out_what_was_rendered_or_is_secret(
    reported: dict[str, str], override_environment: Any
) -> None:
    override_environment(
        twilio_auth_token=f"{CODE}-token",
        smtp_password=f"{CODE}-password",
        anymail_settings=json.dumps({"server_token": f"{CODE}-server"}),
        webhook_secret="",
    )
    stored = " ".join(json.dumps(row.content, default=str) for row in SandboxMessage.objects.all())
    assert CODE in stored
    assert "/unsubscribe/" in stored
    key, text = ApiKey.make(name="all", scopes=["*"])
    owners = {
        "/api/v1/notifications": reported["notification"],
        "/api/notifications": reported["notification"],
        "/api/v1/webhooks": reported["webhook"],
        "/api/v1/users": reported["user"],
        "/api/admin/broadcasts": reported["broadcast"],
    }
    asked = 0
    for client in (plain(text), plain(issue_access(make_user(is_staff=True), now=clock.now()))):
        for route in ROUTES:
            if route.method != "GET" or route.name == "link_to_preferences":
                continue  # which is made to hand out that link, under its own scope
            named = next((v for k, v in owners.items() if route.path.startswith(k)), "1")
            path = path_of(route, id=named, job_id=reported["job_id"])
            query = {"user_id": reported["user"]} if "user_id" in str(route.query) else {}
            body = client.get(path, query).getvalue().decode()
            asked += 1
            assert CODE not in body, route.name
            assert reported["secret"] not in body, route.name
            assert not re.search(r"/(unsubscribe|preferences|confirm)/[A-Za-z0-9]", body), (
                route.name
            )
            assert text not in body
            assert key.key_hash not in body
    assert asked > 60


def test_the_page_is_the_tables() -> None:
    page = "docs/reference/scopes.md"
    assert (ROOT / page).read_text() == PAGES[page]()
