"""How many statements the busiest routes need when each request is served alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.features.sending.service import NotificationService
from tests.integration.api.conftest import KeyClient, send_body
from tests.integration.statements import Statements

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
SEND, BULK = "/api/v1/notifications/send", "/api/v1/notifications/bulk"


def bulk_body(user: User) -> dict[str, Any]:
    listed = [{"user_id": user.pk, "channel": channel} for channel in ("in_app", "email")]
    return {"template_path": "test.hello", "recipients": listed, "context": {"amount": 5}}


def status_path(user: User) -> str:
    made = NotificationService().send(body=send_body(user), caller=SYSTEM)
    return f"/api/v1/notifications/{made.id}/status"


REQUESTS: dict[str, Callable[[APIClient, User], Callable[[], Any]]] = {
    "send": lambda client, user: lambda: client.post(SEND, send_body(user)),
    "bulk": lambda client, user: lambda: client.post(BULK, bulk_body(user)),
    "preferences": lambda client, user: (
        lambda: client.get(f"/api/v1/preferences?user_id={user.pk}")
    ),
    "status": lambda client, user: (lambda path: lambda: client.get(path))(status_path(user)),
}


#: On PostgreSQL, and on SQLite: it reserves keys, and inserts each batch, by a statement more.
MOST = {"send": (3, 4), "bulk": (3, 5), "preferences": (3, 3), "status": (1, 1)}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.usefixtures("frozen")  # so no cache expires between the two requests
def test_a_request_alone_needs_few_statements(name: str, with_key: KeyClient, user: User) -> None:
    client = with_key("notifications:send", "notifications:read", "preferences:read")
    request = REQUESTS[name](client, user)
    assert request().status_code < 300  # caches and the block of keys are filled
    with Statements() as made:
        assert request().status_code < 300
    assert len(made) == MOST[name][connection.vendor == "sqlite"], made.texts
