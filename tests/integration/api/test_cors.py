"""Pages of other origins: which may use the inbox's routes, and that no others can be used."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from carillon.serving.realtime import complete
from carillon.settings.realtime import exact_origins
from directory.models import User
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from notifications.realtime.limits import limits_of_settings, may_open

pytestmark = pytest.mark.django_db
PAGE = "https://app.example.org"
FORGED = [
    "",
    "null",
    "*",
    "https://app.example.org.evil.example",
    "https://evil.example/https://app.example.org",
    "https://evil-app.example.org",
    "https://app.example.org:8443",
    "http://app.example.org",
    "https://APP.example.org",
    "https://app.example.org/",
    "https://app.example.org, https://evil.example",
    "https://sub.app.example.org",
    "https://app.example.org\x00",
]
SHARED = [
    "/api/v1/inbox",
    "/api/v1/inbox/unread",
    "/api/v1/inbox/ticket",
    "/api/v1/inbox/bulk",
    "/api/v1/inbox/0190aa/read",
    "/api/v1/inbox/stream",
    "/api/v1/inbox/events",
    "/api/v1/preferences",
    "/api/v1/categories",
]
OTHERS = [
    "/api/v1/inboxes",
    "/api/v1/preferences/link",
    "/api/v1/categories/course",
    "/api/v1/notifications",
    "/api/v1/auth/token",
    "/api/v1/users",
    "/health",
    "/account/login/",
]


@pytest.fixture
def allowing(override_environment: Any) -> None:
    override_environment(inbox_origins=exact_origins(f"{PAGE}:443,http://localhost:3000"))


def ask(path: str, origin: str, method: str = "POST") -> HttpResponse:
    """What a browser sends before a call."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return Client().options(path, headers=headers)  # type: ignore[return-value]


@pytest.mark.parametrize("path", SHARED)
@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
@pytest.mark.usefixtures("allowing")
def test_a_named_origin_may_call_the_inbox(path: str, origin: str) -> None:
    response = ask(path, origin)

    assert response.status_code == 204
    assert response["Access-Control-Allow-Origin"] == origin
    assert {"authorization", "content-type"} <= set(
        response["Access-Control-Allow-Headers"].split(", ")
    )
    assert "Origin" in response["Vary"]
    assert "Access-Control-Allow-Credentials" not in response
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", OTHERS)
@pytest.mark.usefixtures("allowing")
def test_no_other_route_is_shared(path: str) -> None:
    for response in (ask(path, PAGE), Client().get(path, headers={"Origin": PAGE})):
        assert not [name for name in response.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize("origin", FORGED)
@pytest.mark.usefixtures("allowing")
def test_no_other_origin_is_allowed(origin: str) -> None:
    for response in (
        ask("/api/v1/inbox", origin),
        Client().get("/api/v1/inbox", headers={"Origin": origin}),
    ):
        assert not [name for name in response.headers if name.startswith("Access-Control-")]
        assert "Origin" in response["Vary"]


def test_none_is_allowed_without_the_setting() -> None:
    response = ask("/api/v1/inbox", PAGE)

    assert response.status_code != 204
    assert "Access-Control-Allow-Origin" not in response
    assert not may_open(PAGE, "notify.example.org", limits_of_settings())


@pytest.mark.usefixtures("allowing")
def test_responses_and_errors_can_be_read(user: User) -> None:
    token = {"Authorization": f"Bearer {issue_access(user, now=clock.now())}", "Origin": PAGE}
    good = Client().get("/api/v1/inbox", headers=token)
    refused = Client().get("/api/v1/inbox", headers={"Origin": PAGE})

    assert (good.status_code, refused.status_code) == (200, 401)
    for response in (good, refused):
        assert response["Access-Control-Allow-Origin"] == PAGE
        assert "Access-Control-Allow-Credentials" not in response


@pytest.mark.usefixtures("allowing")
def test_a_cookie_opens_nothing(user: User) -> None:
    browser = Client()
    browser.force_login(user)

    assert browser.post("/api/v1/inbox/read-all", headers={"Origin": PAGE}).status_code in {
        401,
        403,
    }


@pytest.mark.parametrize("path", ["/api/v1/inbox/stream", "/api/v1/inbox/events/"])
@pytest.mark.parametrize(("origin", "allowed"), [(PAGE, PAGE), ("null", None)])
@pytest.mark.usefixtures("allowing")
def test_streams_have_the_same_headers(path: str, origin: str, allowed: str | None) -> None:
    scope = {"path": path, "headers": [(b"origin", origin.encode())]}
    _, headers, _ = complete(scope, HttpResponse())
    found = {name.lower(): value for name, value in headers}

    assert found.get(b"access-control-allow-origin") == (allowed.encode() if allowed else None)
    assert b"Origin" in found[b"vary"]


@pytest.mark.usefixtures("allowing")
def test_sockets_take_the_same_list() -> None:
    limits = limits_of_settings()

    assert may_open(PAGE, "notify.example.org", limits)
    for origin in FORGED[1:]:
        if origin.lower() != PAGE:
            assert not may_open(origin, "notify.example.org", limits), origin


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "http://app.example.org",
        "https://*.example.org",
        "https://app.example.org/path",
        "https://user@app.example.org",
        "https://app.example.org:0",
        "https://app.example.org:70000",
        "app.example.org",
        "https://localhost.evil.example:x",
        ",".join(f"https://a{number}.example" for number in range(51)),
    ],
)
def test_the_setting_takes_exact_origins_only(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        exact_origins(text)
