"""Bad input of each kind: its status, a stable code, words that help, and nothing half made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import ContactPoint, User
from notifications.infra import clock
from notifications.models import DeliveryBatch, IdempotencyKey, Job, Notification
from tests.integration.api.conftest import KeyClient, send_body
from tests.integration.factories import make_template, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
SEND = "/api/v1/notifications/send"


@pytest.fixture(autouse=True)
def nothing_is_left(db: None) -> Iterator[None]:
    """After every test here: no row was made."""
    yield
    for model in (Notification, DeliveryBatch, Job, IdempotencyKey):
        assert not model.objects.exists(), f"{model.__name__} was half made"


CASES: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("unknown template", {"template_path": "no.such"}, 400, "unknown_template", "no.such"),
    ("empty template", {"template_path": ""}, 400, "invalid", "template_path"),
    ("unknown user", {"user_id": 999_999}, 404, "unknown_user", "999999"),
    ("user is a word", {"user_id": "3-7"}, 400, "invalid_user", "UUID"),
    ("user is true", {"user_id": True}, 400, "invalid_user", "UUID"),
    ("user is missing", {"user_id": None}, 400, "required", "user_id"),
    ("unknown channel", {"channel": "pigeon"}, 400, "invalid_channel", "email"),
    ("channel is a list", {"channel": ["email"]}, 400, "invalid_channel", "email"),
    ("channel is an object", {"channel": {}}, 400, "invalid_channel", "email"),
    ("channel without text", {"channel": "telegram"}, 400, "channel_not_in_template", "telegram"),
    ("missing variable", {"context": {}}, 400, "missing_variable", "amount"),
    ("context is a list", {"context": [1]}, 400, "wrong_type", "object"),
    ("unknown priority", {"priority": 9}, 400, "invalid_priority", "1 (critical)"),
    ("priority is true", {"priority": True}, 400, "invalid_priority", "1 (critical)"),
    ("priority is a list", {"priority": []}, 400, "invalid_priority", "1 (critical)"),
    ("unknown category", {"category": "weather"}, 400, "unknown_category", "payment"),
    ("unknown field", {"chanel": "email"}, 400, "unknown_field", "chanel"),
    ("no time", {"scheduled_at": "soon"}, 400, "invalid_time", "2030-01-31"),
    ("expired already", {"expires_at": "2020-01-01T00:00:00Z"}, 400, "in_the_past", "expires_at"),
    ("options are text", {"options": "fast"}, 400, "wrong_type", "options"),
    ("user and address", {"to": {"email": "a@example.com"}}, 400, "invalid", "not both"),
]


@pytest.mark.parametrize(
    ("_case", "changes", "status", "code", "words"), CASES, ids=[case[0] for case in CASES]
)
def test_a_bad_field_is_reported_with_its_code(
    as_staff: APIClient,
    user: User,
    _case: str,
    changes: dict[str, Any],
    status: int,
    code: str,
    words: str,
) -> None:
    response = as_staff.post(SEND, send_body(user, **changes), headers={"Idempotency-Key": "k"})

    assert response.status_code == status, response.data
    codes = {response.data["code"], *(error["code"] for error in response.data["errors"])}
    assert code in codes, response.data
    assert words in response.data["detail"]
    assert response["Content-Type"] == "application/problem+json"


def test_every_bad_field_is_reported_at_once(as_staff: APIClient) -> None:
    response = as_staff.post(
        SEND, {"template_path": 7, "user_id": "x", "channel": "pigeon", "priority": 9, "colour": 1}
    )

    assert response.status_code == 400
    assert response.data["code"] == "invalid_request"
    assert {error["path"] for error in response.data["errors"]} == {
        "template_path",
        "user_id",
        "channel",
        "priority",
        "colour",
    }


@pytest.mark.parametrize(
    ("_case", "body", "content_type", "status", "code"),
    [
        ("broken", '{"a": }', "application/json", 400, "invalid_json"),
        ("empty", "", "application/json", 400, "invalid_json"),
        ("a list", "[]", "application/json", 400, "invalid_json"),
        ("null", "null", "application/json", 400, "invalid_json"),
        ("an abyss", "[" * 200_000, "application/json", 400, "invalid_json"),
        ("a form", "a=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        ("xml", "<a/>", "text/xml", 415, "unsupported_media_type"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    as_staff: APIClient, _case: str, body: str, content_type: str, status: int, code: str
) -> None:
    response = as_staff.generic("POST", SEND, body, content_type=content_type)

    assert (response.status_code, response.data["code"]) == (status, code)


def test_a_body_over_the_limit_is_refused(
    as_staff: APIClient, user: User, override_environment: Any
) -> None:
    override_environment(max_body_bytes=1_000)

    response = as_staff.post(SEND, send_body(user, context={"amount": "x" * 1_000}))

    assert (response.status_code, response.data["code"]) == (413, "body_too_large")
    assert "1,000 bytes" in response.data["detail"]


def test_a_context_over_its_limit_is_refused(as_staff: APIClient, user: User) -> None:
    response = as_staff.post(SEND, send_body(user, context={"amount": "x" * 300_000}))

    assert response.status_code == 400
    assert response.data["errors"][0]["path"].startswith("context")


def test_a_person_cannot_send_to_another(as_user: APIClient) -> None:
    response = as_user.post(SEND, send_body(make_user()))

    assert (response.status_code, response.data["code"]) == (403, "missing_scope")
    assert response.data["scope"] == "notifications:send"


@pytest.mark.parametrize(
    ("changes", "scope"),
    [
        ({"priority": 1}, "priority:critical"),
        ({"priority": "urgent"}, "priority:critical"),
        ({"options": {"bypass_preferences": True}}, "preferences:bypass"),
    ],
)
def test_what_needs_a_scope_of_its_own_names_it(
    with_key: KeyClient, user: User, changes: dict[str, Any], scope: str
) -> None:
    response = with_key("notifications:send").post(SEND, send_body(user, **changes))

    assert (response.status_code, response.data["code"]) == (403, "missing_scope")
    assert response.data["scope"] == scope


def test_an_address_needs_a_scope_of_its_own(with_key: KeyClient) -> None:
    body = {
        "template_path": "test.hello",
        "to": {"email": "new@example.com"},
        "context": {"amount": 1},
    }

    response = with_key("notifications:send").post(SEND, body)

    assert (response.status_code, response.data["scope"]) == (403, "notifications:address")


def test_a_text_that_fails_with_this_context_is_reported_at_once(
    as_staff: APIClient, user: User
) -> None:
    make_template(
        "test.nested", in_app_template="T\n\n{{ amount.value }}", supported_channels=["in_app"]
    )

    response = as_staff.post(SEND, send_body(user, template_path="test.nested"))

    assert response.status_code == 400
    assert response.data["code"] in ("template_error", "missing_variable", "render_failed")


def test_an_opted_out_person_is_a_refusal_with_a_reason(as_staff: APIClient, user: User) -> None:
    ContactPoint.objects.filter(user=user, kind="email").update(state="unsubscribed")

    response = as_staff.post(SEND, send_body(user, channel="email"))

    assert (response.status_code, response.data["code"]) == (403, "opted_out")
    assert set(response.data["reasons"]) == {"email"}


def test_a_scheduled_send_to_an_opted_out_person_is_taken_in(
    as_staff: APIClient, user: User
) -> None:
    ContactPoint.objects.filter(user=user, kind="email").update(state="unsubscribed")
    later = (clock.now() + timedelta(days=1)).isoformat()

    response = as_staff.post(SEND, send_body(user, channel="email", scheduled_at=later))

    assert response.status_code == 201
    Notification.objects.all().delete()
    DeliveryBatch.objects.all().delete()


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb", "\N{SNOWMAN}", "a\x7f"])
def test_an_idempotency_key_that_is_none_is_refused(
    as_staff: APIClient, user: User, key: str
) -> None:
    response = as_staff.post(SEND, send_body(user), headers={"Idempotency-Key": key})

    assert (response.status_code, response.data["code"]) == (400, "invalid_idempotency_key")
