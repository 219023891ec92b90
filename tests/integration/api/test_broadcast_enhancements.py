"""The scenarios of BroadcastAPIEndpoints that the broadcast document lists by name, and steering by
HTTP as its other part, approval included."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from notifications.models import Broadcast, OperatorAction
from tests.integration.api.conftest import bearer
from tests.integration.broadcasts.factories import (
    deliver,
    maintain,
    make_broadcast,
    make_people,
    states,
)
from tests.integration.broadcasts.test_broadcast_enhancements import broadcast_with
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
URL = "/api/admin/broadcasts"
RU = {"HTTP_ACCEPT_LANGUAGE": "ru"}


@pytest.fixture
def staff(db: None) -> Any:
    return make_user(is_staff=True, role="admin")


@pytest.fixture
def as_another_admin(db: None) -> APIClient:
    return bearer(issue_access(make_user(is_staff=True, role="admin"), now=clock.now()))


class TestBroadcastAPIEndpoints:
    def test_progress_endpoint_returns_correct_data(self, as_staff):
        made = broadcast_with(sent=45, failed=5, pending=50)
        answer = as_staff.get(f"{URL}/{made.pk}/progress/")
        assert answer.status_code == 200
        assert answer.data["success"] is True
        data = answer.data["data"]
        assert (data["id"], data["status"]) == (made.pk, "sending")
        assert (data["total_recipients"], data["sent_count"]) == (100, 45)
        assert (data["failed_count"], data["pending_count"]) == (5, 50)
        assert (data["progress_pct"], data["completed_at"]) == (50, None)
        assert data["error_summary"] == "5 failed: Network timeout"

    def test_progress_endpoint_not_found(self, as_staff):
        answer = as_staff.get(f"{URL}/99999/progress/")
        assert answer.status_code == 404
        assert answer.data == {
            "success": False,
            "error": "Broadcast 99999 not found",
            "code": "unknown_broadcast",
        }

    def test_cancel_endpoint_cancels_broadcast(self, as_staff, frozen):
        made = broadcast_with(sent=1, pending=2)
        answer = as_staff.post(f"{URL}/{made.pk}/cancel/", **RU)
        assert answer.status_code == 200
        assert answer.data["success"] is True
        assert answer.data["data"] == {
            "success": True,
            "message": "Рассылка успешно отменена",
            "broadcast_id": made.pk,
            "cancelled_at": "2030-05-01T12:00:00Z",
        }
        made.refresh_from_db()
        assert (made.status, made.completed_at) == ("cancelled", frozen.now)

    @pytest.mark.parametrize("status", ["sent", "completed", "failed", "cancelled"])
    def test_cancel_endpoint_fails_for_completed(self, as_staff, status):
        made = make_broadcast(status=status)
        answer = as_staff.post(f"{URL}/{made.pk}/cancel/")
        assert answer.status_code == 400
        assert answer.data["success"] is False
        assert answer.data["error"] == f"Cannot cancel broadcast with status {status}"

    def test_cancel_endpoint_not_found(self, as_staff):
        assert as_staff.post(f"{URL}/99999/cancel/").status_code == 404

    def test_retry_endpoint_queues_retry(self, as_staff):
        made = broadcast_with(failed=40, status="sent")
        answer = as_staff.post(f"{URL}/{made.pk}/retry/", **RU)
        assert answer.status_code == 200
        data = answer.data["data"]
        assert data["message"] == "Повторная отправка запущена для 40 получателей"
        assert (data["success"], data["retried_count"]) == (True, 40)
        assert data["broadcast_id"] == made.pk
        assert data["task_id"]
        assert states(made) == {"pending": 40}

    def test_retry_endpoint_no_failed(self, as_staff):
        made = broadcast_with(sent=2, status="completed")
        data = as_staff.post(f"{URL}/{made.pk}/retry/").data["data"]
        assert (data["success"], data["retried_count"], data["task_id"]) == (True, 0, None)

    def test_retry_endpoint_not_found(self, as_staff):
        assert as_staff.post(f"{URL}/99999/retry/").status_code == 404

    def test_retry_of_what_was_cancelled_is_refused(self, as_staff):
        made = broadcast_with(failed=1, status="cancelled")
        answer = as_staff.post(f"{URL}/{made.pk}/retry/")
        assert (answer.status_code, answer.data["code"]) == (400, "broadcast_status")


class TestPausing:
    def test_a_paused_broadcast_goes_on(self, as_staff):
        make_people(3)
        key = as_staff.post(
            f"{URL}/",
            {
                "target_group": "all_students",
                "message": "Snow",
                "channels": ["in_app"],
                "send_immediately": True,
            },
        ).data["data"]["id"]
        held = as_staff.post(f"{URL}/{key}/pause/", **RU)
        assert held.data["message"] == "Рассылка приостановлена"
        assert held.data["data"]["status"] == "paused"
        deliver()
        assert maintain(Broadcast.objects.get()).sent_count == 0
        assert as_staff.post(f"{URL}/{key}/pause/").status_code == 400
        freed = as_staff.post(f"{URL}/{key}/resume/", **RU)
        assert freed.data["message"] == "Рассылка возобновлена"
        assert freed.data["data"]["status"] == "sending"
        assert as_staff.post(f"{URL}/{key}/resume/").status_code == 400
        actions = list(OperatorAction.objects.order_by("pk").values_list("action", flat=True))
        assert actions == [f"broadcast.{verb}" for verb in ("create", "pause", "resume")]


class TestApproval:
    """Approval: a second person reviews what reaches many people."""

    @pytest.fixture(autouse=True)
    def _over_two(self, override_environment: Any) -> None:
        override_environment(broadcast_approval_threshold=2)

    def create(self, client: APIClient, people: int = 3, **more: Any) -> Any:
        make_people(people)
        body = {"target_group": "all_students", "message": "Snow", "channels": ["in_app"], **more}
        return client.post(f"{URL}/", body).data["data"]

    def test_a_small_one_needs_none(self, as_staff):
        assert self.create(as_staff, 2, send_immediately=True)["status"] == "sending"

    def test_a_great_one_waits_for_somebody_else(self, as_staff, as_another_admin):
        made = self.create(as_staff, send_immediately=True)
        assert made["status"] == "awaiting_approval"
        own = as_staff.post(f"{URL}/{made['id']}/approve/")
        assert (own.status_code, own.data["code"]) == (403, "self_approval")
        answer = as_another_admin.post(f"{URL}/{made['id']}/approve/", **RU)
        assert answer.data["message"] == "Рассылка одобрена"
        assert answer.data["data"]["status"] == "sending"
        assert answer.data["data"]["approved_by"] != made["created_by"]

    def test_send_asks_for_it_too(self, as_staff):
        made = self.create(as_staff)
        assert made["status"] == "draft"
        answer = as_staff.post(f"{URL}/{made['id']}/send/", **RU)
        assert answer.data["message"] == "Рассылка ожидает одобрения"
        assert answer.data["data"]["status"] == "awaiting_approval"

    def test_a_rejected_one_is_a_draft_with_the_reason(self, as_staff, as_another_admin):
        made = self.create(as_staff, send_immediately=True)
        answer = as_another_admin.post(
            f"{URL}/{made['id']}/reject/", {"note": "Which school?"}, **RU
        )
        assert answer.data["message"] == "Рассылка возвращена автору"
        data = answer.data["data"]
        assert (data["status"], data["review_note"]) == ("draft", "Which school?")
        assert (
            as_another_admin.post(f"{URL}/{made['id']}/reject/", {"note": "x"}).status_code == 400
        )

    def test_what_is_changed_after_its_approval_is_approved_anew(
        self, frozen, as_staff, as_another_admin
    ):
        made = self.create(as_staff, scheduled_at="2030-06-01T12:00:00Z")
        assert made["status"] == "awaiting_approval"
        planned = as_another_admin.post(f"{URL}/{made['id']}/approve/").data["data"]
        assert planned["status"] == "scheduled"
        changed = as_staff.patch(f"{URL}/{made['id']}/", {"message": "Ice"}).data["data"]
        assert (changed["status"], changed["approved_by"]) == ("awaiting_approval", None)

    def test_an_audience_that_grew_until_its_time_waits_for_approval(self, frozen, as_staff):
        made = self.create(as_staff, 2, scheduled_at="2030-05-01T13:00:00Z")
        assert made["status"] == "scheduled"
        make_people(1)
        frozen.forward(3600)
        assert maintain(Broadcast.objects.get()).status == "awaiting_approval"

    def test_what_was_approved_begins_at_its_time(self, frozen, as_staff, as_another_admin):
        made = self.create(as_staff, scheduled_at="2030-05-01T13:00:00Z")
        as_another_admin.post(f"{URL}/{made['id']}/approve/")
        frozen.forward(3600)
        assert maintain(Broadcast.objects.get()).status == "sending"

    def test_a_key_reviews_nothing(self, as_staff, with_key):
        made = self.create(as_staff, send_immediately=True)
        answer = with_key("broadcasts").post(f"{URL}/{made['id']}/approve/")
        assert (answer.status_code, answer.data["code"]) == (403, "person_required")
