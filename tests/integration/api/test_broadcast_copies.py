"""A broadcast written once and used again: sent to its author as a test, copied as a draft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import Group, User
from notifications.features.broadcasts.delivery.fold import fold_changes
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Category,
    KillSwitch,
    Notification,
    NotificationMessage,
    OperatorAction,
    SandboxMessage,
    UserNotificationPreference,
)
from tests.integration.broadcasts.factories import launch, make_broadcast, make_people, states
from tests.integration.factories import make_user
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db
URL = "/api/admin/broadcasts"
RU = {"HTTP_ACCEPT_LANGUAGE": "ru"}


@pytest.fixture
def staff(db: None) -> User:
    """An admin, and no student: no broadcast to students reaches them."""
    return make_user(is_staff=True, role="admin")


class TestSendingATestToOneself:
    def test_the_caller_alone_is_reported_over_the_pipeline(
        self, as_staff: APIClient, staff: User
    ) -> None:
        make_people(3)
        made = make_broadcast(channels=["email", "in_app"], title="Snow", message="Stay at home")

        answer = as_staff.post(f"{URL}/{made.pk}/test/")

        assert answer.status_code == 200
        reported = answer.data["data"]
        assert (reported["message"], reported["broadcast_id"]) == (
            "The test is on its way to you",
            made.pk,
        )
        assert work() > 0
        copy = Notification.objects.get()
        assert str(copy.uuid) == reported["notification_id"]
        assert (copy.user_id, copy.type, copy.source) == (staff.pk, "broadcast_test", "users")
        assert set(copy.messages.values_list("channel", "status")) == {
            ("email", "sent"),
            ("in_app", "delivered"),
        }
        (mail,) = SandboxMessage.objects.filter(channel="email")
        assert mail.content["recipient"] == staff.email
        assert mail.content["title"] == "[Test] Snow"
        assert "Stay at home" in mail.content["body"]

    def test_it_counts_in_no_broadcast(self, as_staff: APIClient) -> None:
        people = make_people(2)
        made = launch(make_broadcast())
        before = (made.status, made.tally, made.error_total)

        as_staff.post(f"{URL}/{made.pk}/test/")
        fold_changes(now=clock.now())

        made.refresh_from_db()
        assert (made.status, made.tally, made.error_total) == before
        assert BroadcastRecipient.objects.filter(broadcast=made).count() == len(people)
        assert states(made) == {"pending": 2}
        assert OperatorAction.objects.filter(action="broadcast.test").count() == 1

    @pytest.mark.parametrize("status", ["draft", "paused", "awaiting_approval", "completed"])
    def test_whatever_its_status(self, status: str, as_staff: APIClient) -> None:
        made = make_broadcast(status=status, target_group="all_tutors")

        assert as_staff.post(f"{URL}/{made.pk}/test/").status_code == 200
        made.refresh_from_db()
        assert (made.status, made.recipient_count) == (status, 0)

    def test_of_channels_in_order_the_first_is_asked(self, as_staff: APIClient) -> None:
        made = make_broadcast(channels=["in_app", "email"], delivery="first")

        as_staff.post(f"{URL}/{made.pk}/test/")

        assert list(NotificationMessage.objects.values_list("channel", flat=True)) == ["in_app"]

    def test_a_stop_of_the_broadcast_does_not_hold_it(self, as_staff: APIClient) -> None:
        made = make_broadcast()
        KillSwitch.objects.create(
            scope="source", value=made.source, reason="wait", created_at=clock.now()
        )

        as_staff.post(f"{URL}/{made.pk}/test/")

        assert work() > 0
        assert NotificationMessage.objects.get().status == "delivered"

    def test_the_callers_own_preferences_apply(self, as_staff: APIClient, staff: User) -> None:
        UserNotificationPreference.objects.create(user=staff, email_enabled=False)
        made = make_broadcast(channels=["email"])

        answer = as_staff.post(f"{URL}/{made.pk}/test/")

        assert (answer.status_code, answer.data["code"]) == (403, "opted_out")
        assert not Notification.objects.exists()

    def test_a_caller_whom_no_channel_reaches_is_reported_at_once(
        self, as_staff: APIClient, staff: User
    ) -> None:
        made = make_broadcast(channels=["telegram", "push"])

        answer = as_staff.post(f"{URL}/{made.pk}/test/")

        assert (answer.status_code, answer.data["code"]) == (409, "unreachable")
        assert answer.data["reason"] == "no_contact_point"
        assert "on telegram, push (no_contact_point): give yourself" in answer.data["error"]
        assert not Notification.objects.exists()
        Broadcast.objects.update(channels=["telegram", "in_app"])
        assert as_staff.post(f"{URL}/{made.pk}/test/").status_code == 200

    def test_a_key_is_no_person(self, with_key: Callable[..., APIClient]) -> None:
        made = make_broadcast()

        answer = with_key("broadcasts").post(f"{URL}/{made.pk}/test/")

        assert (answer.status_code, answer.data["code"]) == (403, "person_required")
        assert "sign in" in answer.data["error"]
        assert not Notification.objects.exists()

    def test_it_is_throttled_as_sends_are(
        self, as_staff: APIClient, override_environment: Any
    ) -> None:
        override_environment(staff_sends_hourly=2)
        made = make_broadcast()

        statuses = [as_staff.post(f"{URL}/{made.pk}/test/").status_code for _ in range(3)]

        assert statuses == [200, 200, 429]
        assert Notification.objects.count() == 2

    def test_what_a_launch_would_fail_on_is_reported(self, as_staff: APIClient) -> None:
        made = make_broadcast(category="gossip")

        answer = as_staff.post(f"{URL}/{made.pk}/test/")

        assert (answer.status_code, answer.data["code"]) == (400, "unknown_category")

    def test_a_repeated_request_sends_one_and_speaks_russian(self, as_staff: APIClient) -> None:
        made = make_broadcast(title="")
        answers = [
            as_staff.post(f"{URL}/{made.pk}/test/", HTTP_IDEMPOTENCY_KEY="once", **RU)
            for _ in range(2)
        ]

        assert answers[0].data == answers[1].data
        assert answers[0].data["data"]["message"] == "Пробное сообщение отправлено вам"
        assert Notification.objects.get().text["title"] == "[Тест]"


class TestDuplicating:
    def test_content_audience_and_channels_are_copied(self, as_staff: APIClient) -> None:
        teachers = make_people(3, role="teacher", prefix="t")
        first = make_broadcast(
            target_group="custom",
            target_filter={"user_ids": teachers},
            title="Snow",
            message="Stay at home",
            category="course",
            priority=2,
            channels=["email", "in_app"],
            delivery="first",
        )

        answer = as_staff.post(f"{URL}/{first.uuid}/duplicate/")

        assert answer.status_code == 201
        assert answer.data["message"] == "The broadcast was copied"
        copy = Broadcast.objects.exclude(pk=first.pk).get()
        assert answer.data["data"]["id"] == copy.pk
        for name in (
            "target_group",
            "target_filter",
            "message",
            "category",
            "priority",
            "channels",
            "delivery",
        ):
            assert getattr(copy, name) == getattr(first, name), name
        assert (copy.title, copy.recipient_count) == ("Snow (copy)", 3)
        assert copy.uuid != first.uuid

    def test_nothing_of_what_became_of_it_is(self, as_staff: APIClient, staff: User) -> None:
        make_people(2)
        author, judge = make_user(is_staff=True), make_user(is_staff=True)
        first = launch(make_broadcast(created_by=author))
        Broadcast.objects.filter(pk=first.pk).update(
            status="failed",
            sent_count=1,
            failed_count=1,
            error_log=[{"recipient_id": 1, "error": "no", "timestamp": ""}],
            error_total=1,
            error_reasons={"no": 1},
            completed_at=clock.now(),
            scheduled_at=clock.now(),
            approved_by=judge,
            approved_count=2,
            review_note="Fine",
            involved_user_ids=[author.pk],
        )

        as_staff.post(f"{URL}/{first.pk}/duplicate/")

        copy = Broadcast.objects.exclude(pk=first.pk).get()
        fresh = Broadcast(target_group="all", message="m")
        own = {
            "id",
            "uuid",
            "created_by",
            "created_at",
            "updated_at",
            "recipient_count",
            "involved_user_ids",
        }
        copied = {"target_group", "title", "message", "channels"}
        for field in Broadcast._meta.concrete_fields:
            if field.name not in own | copied:
                value = getattr(copy, field.attname)
                assert value == getattr(fresh, field.attname), field.name
        assert copy.created_by_id == staff.pk
        assert not BroadcastRecipient.objects.filter(broadcast=copy).exists()
        assert copy.involved_user_ids == sorted([author.pk, staff.pk]), (
            "authors do not approve their words"
        )

    @pytest.mark.parametrize(
        ("title", "expected"),
        [("", ""), ("x" * 200, "x" * 193 + " (copy)"), ("x" * 193, "x" * 193 + " (copy)")],
    )
    def test_the_title_is_marked_as_far_as_it_fits(
        self, title: str, expected: str, as_staff: APIClient
    ) -> None:
        make_people(1)
        first = make_broadcast(title=title)

        answer = as_staff.post(f"{URL}/{first.pk}/duplicate/")

        assert answer.data["data"]["title"] == expected

    def test_a_copys_mark_is_russian_where_that_is_spoken(self, as_staff: APIClient) -> None:
        make_people(1)
        answer = as_staff.post(f"{URL}/{make_broadcast(title='Snow').pk}/duplicate/", **RU)

        assert answer.data["data"]["title"] == "Snow (копия)"
        assert answer.data["message"] == "Рассылка скопирована"

    def test_what_it_names_may_be_gone(self, as_staff: APIClient) -> None:
        group = Group.objects.create(name="Choir")
        gone = make_broadcast(target_group="group", target_filter={"group_id": group.pk})
        group.delete()
        empty = make_broadcast(target_group="all_tutors")
        Category.objects.create(key="choir", name="Choir", legal_basis="contract")
        uncategorised = make_broadcast(category="choirs")

        for made, code in (
            (gone, "unknown_group"),
            (empty, "NO_RECIPIENTS"),
            (uncategorised, "unknown_category"),
        ):
            answer = as_staff.post(f"{URL}/{made.pk}/duplicate/")
            assert (answer.status_code, answer.data["code"]) == (400, code)
        assert Broadcast.objects.count() == 3

    def test_a_key_needs_a_scope_for_what_is_critical(
        self, with_key: Callable[..., APIClient]
    ) -> None:
        make_people(1)
        first = make_broadcast(priority=1)

        refused = with_key("broadcasts").post(f"{URL}/{first.pk}/duplicate/")
        taken = with_key("broadcasts", "priority:critical").post(f"{URL}/{first.pk}/duplicate/")

        assert (refused.status_code, refused.data["scope"]) == (403, "priority:critical")
        assert (taken.status_code, taken.data["data"]["created_by"]) == (201, None)

    def test_a_test_key_makes_a_test(self, with_key: Callable[..., APIClient]) -> None:
        make_people(1)
        first = make_broadcast()

        with_key("broadcasts", kind="test").post(f"{URL}/{first.pk}/duplicate/")

        assert Broadcast.objects.exclude(pk=first.pk).get().is_test
        assert OperatorAction.objects.get().reason == f"of {first.pk}"
