"""Preferences and consents over HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import Device, User
from notifications.models import (
    Category,
    ConsentRecord,
    Notification,
    UserNotificationPreference,
)
from tests.integration.api.conftest import KeyClient, send_body
from tests.integration.factories import make_template, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("way_in")]
ADDRESS = "/api/v1/preferences"


def put(client: APIClient, body: dict[str, Any], query: str = "") -> Any:
    return client.put(f"{ADDRESS}{query}", body, format="json")


def test_a_person_reads_and_changes_their_own(as_user: APIClient) -> None:
    response = put(as_user, {"global": {"sms_enabled": True}})

    assert response.status_code == 200
    assert response.json()["global"]["sms_enabled"] is True
    assert as_user.get(ADDRESS).json() == response.json()
    assert as_user.get(f"{ADDRESS}/").json()["categories"] == {}


def test_a_put_merges(as_user: APIClient) -> None:
    put(as_user, {"global": {"push_enabled": False}})
    put(as_user, {"categories": {"course": {"email_enabled": False}}})

    answer = put(as_user, {}).json()

    assert answer["global"]["push_enabled"] is False
    assert answer["categories"]["course"]["email_enabled"] is False
    assert answer["categories"]["course"]["telegram_enabled"] is True


def test_what_was_read_can_be_sent_back(as_user: APIClient) -> None:
    put(as_user, {"categories": {"course": {"email_enabled": False}}})
    shown = as_user.get(ADDRESS).json()

    response = put(as_user, shown)

    assert response.status_code == 200
    assert response.json() == shown


def test_a_put_reports_all_errors_at_once(as_user: APIClient) -> None:
    response = put(as_user, {"global": {"push_enabled": 3, "timezone": "Nowhere"}})

    assert response.status_code == 400
    assert {(e["path"], e["code"]) for e in response.json()["errors"]} == {
        ("global.push_enabled", "wrong_type"),
        ("global.timezone", "unknown_timezone"),
    }


def test_a_user_cannot_read_or_change_another(as_user: APIClient) -> None:
    other = make_user()

    for response in (
        as_user.get(f"{ADDRESS}?user_id={other.pk}"),
        put(as_user, {}, f"?user_id={other.uuid}"),
        as_user.get(f"/api/v1/consents?user_id={other.pk}"),
    ):
        assert response.status_code == 403
        assert response.json()["code"] == "missing_scope"


def test_a_service_names_the_user_of_a_request(with_key: KeyClient, user: User) -> None:
    client = with_key("preferences:read", "preferences:write")

    assert client.get(ADDRESS).json()["code"] == "required"
    assert (
        put(client, {"global": {"push_enabled": False}}, f"?user_id={user.uuid}").json()["global"][
            "push_enabled"
        ]
        is False
    )
    assert client.get(f"{ADDRESS}?user_id=999999999").status_code == 404


def test_consents_are_recorded_once_a_key_and_listed_by_page(
    as_user: APIClient, user: User
) -> None:
    body = {"purpose": "marketing", "granted": True, "wording": "News, please."}
    for _ in range(2):
        response = as_user.post(
            "/api/v1/consents", body, format="json", headers={"Idempotency-Key": "one"}
        )
        assert response.status_code == 201
    as_user.post("/api/v1/consents", {**body, "granted": False}, format="json")

    first = as_user.get("/api/v1/consents?limit=1").json()
    second = as_user.get(first["next"]).json()
    assert [first["results"][0]["granted"], second["results"][0]["granted"]] == [True, False]
    assert second["next"] is None
    assert first["results"][0]["ip"] == "127.0.0.1"
    assert ConsentRecord.objects.filter(user=user).count() == 2


def test_a_service_records_consent_for_a_user(with_key: KeyClient, user: User) -> None:
    client = with_key("preferences:write")
    body = {"purpose": "data_processing", "granted": True, "wording": "Terms 3", "source": "shop"}

    response = client.post("/api/v1/consents", {**body, "user_id": str(user.uuid)}, format="json")

    assert response.status_code == 201
    assert response.json()["source"] == "shop"
    assert user.notification_preferences.data_processing_consent


def test_a_consent_must_be_whole(as_user: APIClient) -> None:
    response = as_user.post("/api/v1/consents", {"granted": "yes"}, format="json")

    assert response.status_code == 400
    assert {e["path"] for e in response.json()["errors"]} == {"purpose", "granted", "wording"}


def test_a_refused_send_is_replayed_and_explained_by_its_decision_id(
    with_key: KeyClient, user: User, template: Any
) -> None:
    client = with_key("notifications:send", "notifications:read", "preferences:write")
    put(client, {"global": {"email_enabled": False}}, f"?user_id={user.pk}")
    body = send_body(user, channel="email")
    answers = [
        client.post(
            "/api/v1/notifications/send", body, format="json", headers={"Idempotency-Key": "one"}
        )
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["reasons"] == {"email": "channel_off"}
    decision = answers[0].json()["decision_id"]
    reported = client.get(f"/api/v1/notifications/{decision}/explain").json()
    assert reported["status"] == "refused"
    assert reported["messages"][0]["steps"][-1] == {"step": "channel", "outcome": "channel_off"}
    assert client.get(f"/api/v1/notifications/{decision}/status").status_code == 404


def test_simulate_responds_and_writes_nothing(
    as_user: APIClient, user: User, template: Any
) -> None:
    response = as_user.post(
        "/api/v1/notifications/simulate", send_body(user, channel="email"), format="json"
    )

    assert response.status_code == 200
    shown = response.json()["messages"][0]
    assert (shown["decision"], shown["content"]["title"]) == ("send", "About 5")
    assert not Notification.objects.exists()


@pytest.mark.parametrize("channel", ["email", "in_app", "sms", "push", "telegram"])
def test_simulated_links_open_nothing(
    with_key: KeyClient, as_staff: APIClient, as_user: APIClient, user: User, channel: str
) -> None:
    field = {"email": "email_body_template"}.get(channel, f"{channel}_template")
    make_template(
        "test.links",
        category=Category.objects.get(key="course"),
        supported_channels=[channel],
        email_subject_template="Links",
        **{field: "{{ unsubscribe_url }} {{ preferences_url }} {{ amount }}"},
    )
    user.phone_number, user.telegram_id = "+15005550006", "7"
    user.save()
    Device.objects.create(user=user, token="token-of-a-phone")
    UserNotificationPreference.objects.create(
        user=user, data_processing_consent=True, sms_enabled=True
    )
    body = send_body(user, template_path="test.links", channel=channel)

    for client in (with_key("notifications:send"), as_staff, as_user):
        answer = client.post("/api/v1/notifications/simulate", body, format="json")
        text = answer.json()["messages"][0]["content"]["body"]
        assert "/unsubscribe_url/example" in text
        assert "/preferences_url/example" in text
        assert not re.search(r"/(unsubscribe|preferences)/", text)


def test_simulate_reports_errors_of_a_send(as_user: APIClient, template: Any) -> None:
    response = as_user.post("/api/v1/notifications/simulate", {"channel": "fax"}, format="json")

    assert response.status_code == 400
    assert {error["path"] for error in response.json()["errors"]} >= {"channel", "template_path"}


def test_a_preference_link_for_another_user_needs_the_scope(
    as_user: APIClient, with_key: KeyClient, client: Any
) -> None:
    other = make_user()

    own = as_user.get(f"{ADDRESS}/link").json()
    refused = as_user.get(f"{ADDRESS}/link?user_id={other.pk}")
    given = with_key("preferences:write").get(f"{ADDRESS}/link?user_id={other.pk}")

    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert given.status_code == 200
    assert client.get(own["url"].removeprefix("http://127.0.0.1:8000")).status_code == 200
