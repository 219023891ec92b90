"""Callers of every kind, and a client that holds each answer against the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from notifications.models import ApiKey, NotificationTemplate
from notifications.rendering.versions import mark_proved
from tests.integration.api.conformity import DocumentedClient
from tests.integration.api.group_way import GroupWay
from tests.integration.factories import make_template, make_user

KeyClient = Callable[..., APIClient]


@pytest.fixture
def api() -> APIClient:
    """A client without credentials."""
    return DocumentedClient()


@pytest.fixture
def user(db: None) -> User:
    return make_user()


@pytest.fixture
def staff(db: None) -> User:
    return make_user(is_staff=True)


@pytest.fixture
def as_user(user: User) -> APIClient:
    return bearer(issue_access(user, now=clock.now()))


@pytest.fixture
def as_staff(staff: User) -> APIClient:
    client = DocumentedClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=staff).key}")
    return client


@pytest.fixture
def with_key(db: None) -> KeyClient:
    """A client with an API key of the given scopes."""

    def make(*scopes: str, kind: str = "live") -> APIClient:
        return bearer(ApiKey.make(name="a service", scopes=list(scopes), kind=kind)[1])

    return make


@pytest.fixture
def template(db: None) -> NotificationTemplate:
    found = make_template("test.hello")
    assert found.current_version_id is not None
    mark_proved(found.current_version_id)  # as publishing does
    return found


@pytest.fixture(params=["alone", "in a group"])
def way_in(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, override_environment: Any
) -> None:
    """Every request comes by Django's handlers, or by a group of sends where a group takes it."""
    if request.param == "in a group":
        override_environment(
            person_sends_hourly=0, person_bulks_hourly=0
        )  # a caller with a limit is served alone
        GroupWay(monkeypatch)


def bearer(token: str) -> APIClient:
    """A client with this token in its Authorization header."""
    client = DocumentedClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def send_body(user: User, **changes: Any) -> dict[str, Any]:
    """A body that `send` accepts for the fixture `template`."""
    return {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channel": "in_app",
        "context": {"amount": 5},
        **changes,
    }
