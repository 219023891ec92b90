"""The routes of campaigns, from outside."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.models import Broadcast, Campaign, Notification, OperatorAction
from tests.integration.api.conftest import api, as_staff, as_user, staff, user, with_key
from tests.integration.campaigns.factories import (
    PATH,
    fresh,
    go_on,
    make_campaign,
    make_news,
    make_students,
)

__all__ = ["api", "as_staff", "as_user", "staff", "user", "with_key"]
pytestmark = pytest.mark.django_db
URL = "/api/v1/campaigns"


@pytest.fixture
def body(frozen) -> dict[str, Any]:
    make_students(count=2)
    make_news()
    return {
        "name": "May",
        "audience": {"rule": "all_students"},
        "template_path": PATH,
        "channels": ["in_app"],
        "context": {"month": "May"},
    }


@pytest.fixture
def client(with_key) -> APIClient:
    return with_key("broadcasts")


def post(client: APIClient, path: str, body: dict[str, Any] | None = None, **more: Any) -> Any:
    return client.post(f"{URL}{path}", body or {}, format="json", **more)


def test_a_campaign_from_draft_to_report(client, body):
    made = post(client, "", body)
    assert (made.status_code, made.json()["status"]) == (201, "draft")
    one = f"/{made.json()['id']}"
    assert client.get(f"{URL}{one}").json()["estimated_recipients"] == 2
    changed = client.patch(f"{URL}{one}", {"name": "June"}, format="json")
    assert changed.json()["name"] == "June"
    found = post(client, f"{one}/estimate").json()
    assert (found["audience"], found["held_out"]) == (2, 0)
    assert found["estimate"]["recipients"] == 2
    assert "What is new in May" in found["estimate"]["samples"][0]["body"]

    assert post(client, f"{one}/launch").json()["status"] == "running"
    go_on()
    go_on()
    shown = client.get(f"{URL}{one}/progress").json()
    assert (shown["status"], shown["sent"], shown["progress_pct"]) == ("completed", 2, 100)
    assert client.get(f"{URL}{one}/report").json()["messages"]["sent"] == 2
    listed = client.get(f"{URL}{one}/recipients?status=sent&limit=1").json()
    assert len(listed["results"]) == 1
    assert len(client.get(listed["next"]).json()["results"]) == 1
    assert [each["name"] for each in client.get(URL).json()["results"]] == ["June"]
    assert client.get(f"{URL}?status=draft").json()["results"] == []


def test_a_state_that_forbids_an_action_is_a_409_that_names_it(client, body):
    one = f"/{post(client, '', body).json()['id']}"
    refused = post(client, f"{one}/pause")
    assert refused.status_code == 409
    error = refused.json()
    assert (error["code"], error["status"]) == ("campaign_status", "draft") or "draft" in str(error)


def test_a_launch_with_a_key_of_idempotency_is_done_once(client, body):
    one = f"/{post(client, '', body).json()['id']}"
    first = post(client, f"{one}/launch", HTTP_IDEMPOTENCY_KEY="launch-1")
    again = post(client, f"{one}/launch", HTTP_IDEMPOTENCY_KEY="launch-1")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert OperatorAction.objects.filter(action="campaign.launch").count() == 1


def test_schedule_and_cancel(client, body):
    one = f"/{post(client, '', body).json()['id']}"
    found = post(client, f"{one}/schedule", {"scheduled_at": "2030-05-02T09:00:00Z"}).json()
    assert (found["status"], found["begins_at"][:10]) == ("scheduled", "2030-05-02")
    assert post(client, f"{one}/cancel").json()["status"] == "cancelled"


def test_a_person_sends_a_test_to_themselves_alone(as_staff, staff: User, body):
    made = post(as_staff, "", body)
    assert made.status_code == 201
    found = post(as_staff, f"/{made.json()['key']}/test")
    assert found.status_code == 200, found.content
    sent = Notification.objects.get()
    assert (sent.user_id, sent.type) == (staff.pk, "campaign_test")
    assert Campaign.objects.get().status == "draft"


def test_a_key_gets_no_test_and_gives_no_approval(client, body):
    one = f"/{post(client, '', {**body, 'needs_approval': True}).json()['id']}"
    assert post(client, f"{one}/launch").json()["approval"] == "requested"
    for action, given in (("test", {}), ("approve", {}), ("reject", {"note": "No"})):
        refused = post(client, f"{one}/{action}", given)
        assert (refused.status_code, refused.json()["code"]) == (403, "person_required")


def test_without_the_scope_nothing_is_shown(body, with_key, as_user):
    made = make_campaign()
    for caller in (with_key("notifications:send"), as_user):
        assert caller.get(URL).status_code == 403
        assert caller.get(f"{URL}/{made.pk}/report").status_code == 403
        assert post(caller, f"/{made.pk}/launch").status_code == 403


def test_a_test_key_sends_tests_alone(with_key, client, body):
    tester = with_key("broadcasts", kind="test")
    live = post(client, "", body).json()["id"]
    refused = post(tester, f"/{live}/launch")
    assert (refused.status_code, refused.json()["code"]) == (403, "test_key")
    one = f"/{post(tester, '', body).json()['id']}"
    assert post(tester, f"{one}/launch").status_code == 200
    assert Broadcast.objects.get().is_test


def test_a_broadcast_of_a_campaign_is_changed_by_the_campaign_alone(client, body):
    one = post(client, "", {**body, "per_minute": 12}).json()
    post(client, f"/{one['id']}/launch")
    key = Broadcast.objects.get().pk
    refused = client.post(f"/api/admin/broadcasts/{key}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "campaign_broadcast")
    assert fresh(Campaign.objects.get()).status == "running"
    assert client.get(f"/api/admin/broadcasts/{key}").status_code == 200


def test_an_unknown_campaign_is_a_404(client, body):
    for path in ("/999", "/00000000-0000-0000-0000-000000000000", "/999/progress"):
        found = client.get(f"{URL}{path}")
        assert (found.status_code, found.json()["code"]) == (404, "unknown_campaign")
