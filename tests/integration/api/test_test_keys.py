"""A test key touches nothing that people are sent, whatever its scopes."""

from __future__ import annotations

from typing import Any

import pytest

from directory.models import User
from notifications.models import DeadLetter, Job, Notification, NotificationMessage
from tests.integration.api.conftest import KeyClient, send_body
from tests.integration.api.test_operations import LETTERS, make_letters

pytestmark = pytest.mark.django_db
V1 = "/api/v1"
SCOPES = ("notifications:send", "notifications:read", "operations")
LATER = "2190-01-01T00:00:00Z"


@pytest.fixture
def sent(with_key: KeyClient, user: User, template: Any) -> Notification:
    """A live notification of a bulk call, far ahead."""
    body = send_body(user, scheduled_at=LATER)
    del body["user_id"]
    body["recipients"] = [{"user_id": user.pk}]
    assert with_key(*SCOPES).post(f"{V1}/notifications/bulk", body).status_code == 202
    return Notification.objects.get()


@pytest.mark.parametrize("call", ["cancel", "move", "schedule", "job"])
def test_what_waits_for_a_person_stays(call: str, sent: Notification, with_key: KeyClient) -> None:
    client = with_key(*SCOPES, kind="test")
    one = f"{V1}/notifications/{sent.uuid}"
    ask = {
        "cancel": lambda: client.post(f"{one}/cancel"),
        "move": lambda: client.patch(one, {"scheduled_at": "2191-01-01T00:00:00Z"}),
        "schedule": lambda: client.delete(f"/api/notifications/{sent.pk}/cancel_scheduled/"),
        "job": lambda: client.post(f"{V1}/jobs/{Job.objects.get().uuid}/cancel"),
    }[call]

    assert (answer := ask()).status_code == 403, answer.data
    assert answer.data["code"] == "test_key"
    assert set(NotificationMessage.objects.values_list("status", flat=True)) == {"pending"}


@pytest.mark.parametrize("kind", ["chosen", "matching"])
def test_no_dead_letter_leaves_for_real(kind: str, with_key: KeyClient) -> None:
    letters = make_letters(2)
    client = with_key(*SCOPES, kind="test")
    body = {"ids": [row.pk for row in letters]} if kind == "chosen" else {"channel": "email"}

    path = f"{LETTERS}replay/" if kind == "chosen" else f"{LETTERS}replay-matching"
    answer = client.post(path, body)

    assert (answer.status_code, answer.data["code"]) == (403, "test_key")
    assert set(NotificationMessage.objects.values_list("status", flat=True)) == {"failed"}
    Notification.objects.update(is_test=True)
    assert client.post(path, body).status_code == 200
    assert not DeadLetter.objects.filter(resolved_at=None).exists()
