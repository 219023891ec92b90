"""The view set, its routes and helpers, and the serializers, as a Django project uses them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.urls import include, path
from rest_framework.test import APIClient

from directory.models import ContactPoint, Enrollment, Subject, User
from notifications.broadcast_batch import process_broadcast_batch_async
from notifications.broadcast_views import (
    BroadcastViewSet,
    _create_broadcast_recipients,
    _get_recipients_by_group,
    _send_telegram_broadcasts,
)
from notifications.features.access.principals import caller_of_user
from notifications.features.scheduling.service import ScheduleService
from notifications.infra import clock
from notifications.models import Broadcast, BroadcastRecipient, Notification, SandboxMessage
from notifications.serializers import (
    BroadcastDetailSerializer,
    BroadcastListSerializer,
    BroadcastRecipientSerializer,
    CancelScheduledNotificationSerializer,
    CreateBroadcastSerializer,
    NotificationScheduleStatusSerializer,
    ScheduleNotificationResponseSerializer,
    ScheduleNotificationSerializer,
)
from notifications.services.broadcast import BroadcastService
from tests.integration.broadcasts.factories import deliver, maintain, make_broadcast, make_people
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
urlpatterns = [path("panel/", include("notifications.broadcast_urls"))]


@pytest.fixture
def admin(db: None) -> User:
    return make_user(is_staff=True, role="admin")


@pytest.fixture
def client(admin: User) -> Any:
    """A client of an administrator, in a project that mounts the routes at its own path."""
    found = APIClient()
    found.force_authenticate(admin)
    with override_settings(ROOT_URLCONF=__name__, APPEND_SLASH=True, MIDDLEWARE=[]):
        yield found


def body(**more: Any) -> dict[str, Any]:
    return {"target_group": "all_students", "message": "Snow", "channels": ["in_app"], **more}


class TestBroadcastViewSet:
    def test_the_view_set_creates_sends_and_shows_a_broadcast(self, client):
        make_people(3)
        made = client.post("/panel/broadcasts/", body())
        assert made.status_code == 201
        key = made.json()["data"]["id"]
        assert client.patch(f"/panel/broadcasts/{key}/", {"message": "Ice"}).status_code == 200
        tried = client.post(f"/panel/broadcasts/{key}/dry-run/").json()["data"]
        assert (tried["recipients"], tried["samples"][0]["body"]) == (3, "Ice")
        assert client.post(f"/panel/broadcasts/{key}/send/").json()["data"]["status"] == "sending"
        deliver()
        maintain(Broadcast.objects.get())
        progress = client.get(f"/panel/broadcasts/{key}/progress/").json()
        assert progress["data"]["progress_pct"] == 100
        recipients = client.get(f"/panel/broadcasts/{key}/recipients/?status=sent").json()
        assert recipients["count"] == 3
        assert client.get("/panel/broadcasts/?search=ice").json()["results"][0]["id"] == key
        assert client.get(f"/panel/broadcasts/{key}/").json()["data"]["sent_count"] == 3

    def test_errors_have_the_documented_format(self, client):
        assert client.post("/panel/broadcasts/", body()).json() == {
            "success": False,
            "error": "No recipients found for group all_students",
            "code": "NO_RECIPIENTS",
        }
        missing = client.post("/panel/broadcasts/99999/cancel/")
        assert (missing.status_code, missing.json()["error"]) == (404, "Broadcast 99999 not found")

    @pytest.mark.parametrize("verb", ["pause", "resume", "approve", "reject", "cancel", "retry"])
    def test_every_action_is_routed(self, client, verb):
        made = make_broadcast(status="cancelled")
        BroadcastRecipient.objects.create(
            broadcast=made, recipient_id=make_people(1)[0], telegram_error="timeout"
        )
        response = client.post(f"/panel/broadcasts/{made.pk}/{verb}/", {"note": "no"})
        assert response.status_code == 400
        assert response.json()["error"] == f"Cannot {verb} broadcast with status cancelled"

    def test_every_action_on_one_broadcast_is_routed(self, client, admin):
        people = make_people(2)
        made = make_broadcast(status="sending")
        BroadcastRecipient.objects.create(
            broadcast=made, recipient_id=people[0], telegram_error="timeout"
        )
        place = f"/panel/broadcasts/{made.pk}"
        file = client.get(f"{place}/recipients.csv/?status=failed")
        assert file["Content-Type"] == "text/csv; charset=utf-8"
        assert file.getvalue().count(b"\r\n") == 2
        assert client.get(f"{place}/recipients.csv/?page=1").json()["code"] == "unknown_parameter"
        retried = client.post(f"{place}/recipients/retry/", {"user_ids": people}).json()["data"]
        assert (retried["retried_count"], retried["unknown"]) == (1, people[1:])
        assert client.post(f"{place}/test/").json()["data"]["broadcast_id"] == made.pk
        assert Notification.objects.get().user_id == admin.pk
        copied = client.post(f"{place}/duplicate/")
        assert (copied.status_code, copied.json()["data"]["status"]) == (201, "draft")

    def test_a_path_has_no_format_suffix(self, client):
        made = make_broadcast()
        assert client.get(f"/panel/broadcasts/{made.pk}/progress.json").status_code == 404

    def test_a_draft_is_deleted(self, client):
        made = make_broadcast()
        assert client.delete(f"/panel/broadcasts/{made.pk}/").status_code == 204
        assert not Broadcast.objects.exists()

    def test_a_body_can_be_dry_run(self, client):
        make_people(2)
        assert client.post("/panel/broadcasts/dry-run/", body()).json()["data"]["recipients"] == 2

    def test_only_administrators_are_allowed(self, client):
        assert [each.__name__ for each in BroadcastViewSet.permission_classes] == ["IsAdminUser"]
        client.force_authenticate(make_user())
        refused = client.get("/panel/broadcasts/")
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        client.force_authenticate(None)
        unknown = client.get("/panel/broadcasts/")
        assert (unknown.status_code, unknown.json()["code"]) == (401, "not_authenticated")

    @pytest.mark.parametrize("role", ["author", "analyst", "operator"])
    def test_a_role_needs_the_scope(self, role, client):
        client.force_authenticate(make_user(staff_role=role))
        response = client.get("/panel/broadcasts/")
        if role == "operator":
            assert response.status_code == 200
        else:
            assert (response.status_code, response.json()["code"]) == (403, "missing_scope")


class TestHelpers:
    def test_the_first_documented_example_runs(self, admin):
        make_people(3)
        broadcast = Broadcast.objects.create(
            created_by=admin,
            target_group="all_students",
            message="Important announcement for all students",
            recipient_count=0,
            status="draft",
            channels=["in_app"],
        )
        recipients = _get_recipients_by_group("all_students")
        broadcast.recipient_count = len(recipients)
        broadcast.save()
        assert _create_broadcast_recipients(broadcast, recipients) == 3
        task = process_broadcast_batch_async.delay(
            broadcast_id=broadcast.id, target_group="all_students"
        )
        assert task.id
        task.get()  # no worker runs in a test
        progress = BroadcastService.get_progress(broadcast.id)
        assert (progress["total_recipients"], progress["progress_pct"]) == (3, 100)

    def test_recipients_of_each_kind(self):
        subject = Subject.objects.create(name="Mathematics")
        students = make_people(3)
        (teacher,) = make_people(1, role="teacher", prefix="t")
        for student in students[:2]:
            Enrollment.objects.create(student_id=student, subject=subject, teacher_id=teacher)

        def found(group: str, target: dict[str, Any] | None = None) -> list[int]:
            return [user.pk for user in _get_recipients_by_group(group, target)]

        assert found("all_students") == students
        assert found("all_teachers") == [teacher]
        assert found("by_subject", {"subject_id": subject.pk}) == sorted([*students[:2], teacher])
        assert found("by_teacher", {"teacher_id": teacher}) == students[:2]
        assert found("custom", {"user_ids": students[1:]}) == students[1:]
        assert found("all_students", {"subject_id": subject.pk}) == students[:2]

    @pytest.mark.parametrize(
        ("group", "target"), [("by_subject", {}), ("unknown", None), ("by_tutor", {"tutor_id": 9})]
    )
    def test_a_wrong_target_is_an_error_and_not_all_users(self, group, target):
        with pytest.raises(ValueError, match="target"):
            _get_recipients_by_group(group, target)

    def test_recipients_are_written_once(self):
        made = make_broadcast()
        people = make_people(2)
        users = list(User.objects.filter(pk__in=people))
        assert _create_broadcast_recipients(made, users) == 2
        assert _create_broadcast_recipients(made, people) == 0
        assert BroadcastRecipient.objects.count() == 2

    def test_telegram_is_sent_and_counted(self):
        people = make_people(2)
        for person in people:
            ContactPoint.objects.create(user_id=person, kind="telegram", address=f"55{person}")
        made = make_broadcast(channels=["telegram"])
        assert _send_telegram_broadcasts(made) == {"sent": 2, "failed": 0}
        assert SandboxMessage.objects.filter(channel="telegram").count() == 2
        assert made.sent_count == 2

    def test_telegram_must_be_one_of_its_channels(self):
        with pytest.raises(ValueError, match="has no channel telegram"):
            _send_telegram_broadcasts(make_broadcast())


class TestSerializers:
    def test_lists_and_details(self, admin):
        (person,) = make_people(1)
        made = make_broadcast(created_by=admin)
        row = BroadcastRecipient.objects.create(broadcast=made, recipient_id=person)
        (listed,) = BroadcastListSerializer(Broadcast.objects.all(), many=True).data
        assert (listed["id"], listed["created_by_name"]) == (made.pk, "Ada")
        assert "recipients" not in listed
        shown = BroadcastDetailSerializer(made).data
        assert shown["recipients"][0] == BroadcastRecipientSerializer(row).data
        assert shown["recipients"][0]["user_id"] == person

    def test_creating(self, admin):
        make_people(2)
        serializer = CreateBroadcastSerializer(data=body())
        assert serializer.is_valid(), serializer.errors
        made = serializer.save(created_by=admin)
        assert (made.status, made.recipient_count, made.created_by) == ("draft", 2, admin)
        assert serializer.data["id"] == made.pk

    def test_errors_of_a_broadcast_are_by_field(self):
        serializer = CreateBroadcastSerializer(
            data=body(target_group="by_subject", message="x" * 1001)
        )
        assert not serializer.is_valid()
        assert set(serializer.errors) == {"target_filter", "message"}

    def test_scheduling(self, admin):
        people = make_people(2)
        at = clock.now() + timedelta(hours=1)
        serializer = ScheduleNotificationSerializer(
            data={
                "recipients": people,
                "title": "Meeting",
                "message": "In 30 minutes",
                "scheduled_at": at.isoformat(),
            }
        )
        assert serializer.is_valid(), serializer.errors
        taken = serializer.save(user=admin)
        response = ScheduleNotificationResponseSerializer(taken).data
        assert response["count"] == 2
        found = Notification.objects.get(pk=response["notification_ids"][0])
        status = NotificationScheduleStatusSerializer(found).data
        assert (status["title"], status["scheduled_status"]) == ("Meeting", "pending")
        cancelled = ScheduleService().cancel(identifier=found.pk, caller=caller_of_user(admin))
        shown = CancelScheduledNotificationSerializer(cancelled).data
        assert (shown["success"], shown["scheduled_status"]) == (True, "cancelled")

    def test_errors_of_a_schedule_are_by_field(self):
        serializer = ScheduleNotificationSerializer(data={"recipients": []})
        assert not serializer.is_valid()
        assert {"recipients", "title", "message", "scheduled_at"} <= set(serializer.errors)
