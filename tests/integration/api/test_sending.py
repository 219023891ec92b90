"""Sends by HTTP, and reads the outcome."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.domain.lifecycle import MessageStatus
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from notifications.models import (
    DeliveryBatch,
    Job,
    Notification,
    NotificationMessage,
    NotificationTemplate,
    change_status,
)
from tests.integration.api.conftest import KeyClient, bearer, send_body
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template", "way_in")]


SEND = "/api/v1/notifications/send/"
BULK = "/api/v1/notifications/bulk/"
STRANGER = "1f0c5f5e-0000-4000-8000-000000000000"


def test_a_person_sends_to_themselves(as_user: APIClient, user: User) -> None:
    response = as_user.post(SEND, send_body(user))

    assert response.status_code == 201
    assert response.data["status"] == "pending"
    assert response.data["message"] == "Notification queued"
    stored = Notification.objects.get(uuid=UUID(response.data["id"]))
    assert stored.user_id == user.pk
    assert stored.messages.get().channel == "in_app"
    assert DeliveryBatch.objects.get().size == 1


def test_the_user_may_be_named_by_uuid(as_user: APIClient, user: User) -> None:
    assert as_user.post(SEND, send_body(user, user_id=str(user.uuid))).status_code == 201


def test_a_service_sends_to_anybody(with_key: KeyClient, user: User) -> None:
    response = with_key("notifications:send").post(SEND, send_body(user))

    assert response.status_code == 201
    assert Notification.objects.get().source.startswith("key:")


def test_a_test_key_makes_test_notifications(with_key: KeyClient, user: User) -> None:
    with_key("notifications:send", kind="test").post(SEND, send_body(user))

    assert Notification.objects.get().is_test


def test_several_channels_make_several_messages(as_user: APIClient, user: User) -> None:
    body = send_body(user, channels=["in_app", "email"])
    del body["channel"]

    assert as_user.post(SEND, body).status_code == 201
    assert {message.channel for message in NotificationMessage.objects.all()} == {
        "in_app",
        "email",
    }


def test_a_context_user_is_ignored_with_a_warning(as_user: APIClient, user: User) -> None:
    body = send_body(user, context={"amount": 1, "user": {"first_name": "Eve"}})

    response = as_user.post(SEND, body)

    assert response.status_code == 201
    assert len(response.data["warnings"]) == 1
    assert "user" in response.data["warnings"][0]


class TestStatus:
    @pytest.fixture
    def sent(self, as_user: APIClient, user: User) -> str:
        return str(as_user.post(SEND, send_body(user)).data["id"])

    def test_status_says_how_each_channel_stands(self, as_user: APIClient, sent: str) -> None:
        response = as_user.get(f"/api/v1/notifications/{sent}/status/")

        assert response.status_code == 200
        assert response.data["id"] == sent
        assert response.data["template_path"] == "test.hello"
        assert [(m["channel"], m["status"]) for m in response.data["messages"]] == [
            ("in_app", "pending")
        ]

    def test_the_integer_id_does_as_well(self, as_user: APIClient, sent: str) -> None:
        number = Notification.objects.get().pk

        assert as_user.get(f"/api/v1/notifications/{number}/status").data["id"] == sent

    def test_explain_begins_with_the_acceptance(self, as_user: APIClient, sent: str) -> None:
        response = as_user.get(f"/api/v1/notifications/{sent}/explain")

        assert response.status_code == 200
        assert response.data["messages"][0]["decisions"][0]["event"] == "accepted"

    @pytest.mark.parametrize("call", ["status", "explain"])
    def test_another_persons_notification_does_not_exist(
        self, sent: str, call: str, api: APIClient
    ) -> None:
        api.force_authenticate(user=make_user())

        response = api.get(f"/api/v1/notifications/{sent}/{call}")

        assert (response.status_code, response.data["code"]) == (404, "unknown_notification")

    @pytest.mark.parametrize("name", ["0", "-1", "abc", "9" * 40, STRANGER])
    def test_what_is_no_notification_is_404(self, as_user: APIClient, name: str) -> None:
        response = as_user.get(f"/api/v1/notifications/{name}/status")

        assert (response.status_code, response.data["code"]) == (404, "unknown_notification")

    def test_cancelling_takes_it_back_once(self, as_user: APIClient, sent: str) -> None:
        first = as_user.post(f"/api/v1/notifications/{sent}/cancel/")
        second = as_user.post(f"/api/v1/notifications/{sent}/cancel/")

        assert (first.status_code, first.data["cancelled"]) == (200, ["in_app"])
        assert NotificationMessage.objects.get().status == MessageStatus.CANCELLED
        assert (second.status_code, second.data["code"]) == (409, "not_pending")

    def test_what_was_sent_cannot_be_taken_back(self, as_user: APIClient, sent: str) -> None:
        change_status([NotificationMessage.objects.get().pk], MessageStatus.SENT, reason="test")

        response = as_user.post(f"/api/v1/notifications/{sent}/cancel")

        assert (response.status_code, response.data["code"]) == (409, "not_pending")

    def test_what_a_provider_has_in_hand_cannot_be_taken_back(
        self, as_user: APIClient, sent: str
    ) -> None:
        DeliveryBatch.objects.update(journal=str(NotificationMessage.objects.get().pk))

        response = as_user.post(f"/api/v1/notifications/{sent}/cancel")

        assert (response.status_code, response.data["code"]) == (409, "already_sending")
        assert as_user.get(f"/api/v1/notifications/{sent}/status").data["status"] == "processing"

    def test_a_key_that_may_only_read_cannot_cancel(self, with_key: KeyClient, sent: str) -> None:
        response = with_key("notifications:read").post(f"/api/v1/notifications/{sent}/cancel")

        assert (response.status_code, response.data["scope"]) == (403, "notifications:send")


class TestBulk:
    def body(self, users: list[Any]) -> dict[str, Any]:
        return {
            "template_path": "test.hello",
            "channel": "in_app",
            "recipients": [{"user_id": user, "context": {"amount": 1}} for user in users],
        }

    def test_good_recipients_go_in_and_bad_ones_are_listed(self, with_key: KeyClient) -> None:
        people = [make_user() for _ in range(3)]
        client = with_key("notifications:send", "notifications:read")

        response = client.post(
            BULK, self.body([people[0].pk, "3-7", str(people[1].uuid), 999_999, people[2].pk])
        )

        assert response.status_code == 202
        assert response.data["accepted"] == 3
        assert [(each["index"], each["code"]) for each in response.data["rejected"]] == [
            (1, "invalid_user"),
            (3, "unknown_user"),
        ]
        job = client.get(f"/api/v1/jobs/{response.data['job_id']}")
        assert job.status_code == 200
        assert (job.data["total"], job.data["accepted"]) == (5, 3)
        assert job.data["progress"]["pending"] == 3
        assert job.data["done"] is False

    def test_all_may_be_rejected(self, with_key: KeyClient) -> None:
        response = with_key("notifications:send").post(BULK, self.body(["x", "y"]))

        assert (response.status_code, response.data["accepted"]) == (202, 0)

    def test_a_job_is_its_own_principals_alone(self, with_key: KeyClient) -> None:
        mine, theirs = make_user(), make_user()
        clients = [
            bearer(issue_access(mine, now=clock.now())),
            bearer(issue_access(theirs, now=clock.now())),
            with_key("notifications:send"),
            with_key("notifications:send"),
        ]
        for client, to in zip(clients, (mine, theirs, mine, mine), strict=True):
            job = client.post(BULK, self.body([to.pk])).data["job_id"]
            seen = [each.get(f"/api/v1/jobs/{job}").status_code for each in clients[:2]]
            assert seen == [200 if each is client else 404 for each in clients[:2]]
            assert clients[2].get(f"/api/v1/jobs/{job}").data["code"] == "missing_scope"
            assert with_key("notifications:read").get(f"/api/v1/jobs/{job}").status_code == 200

    def test_a_job_is_found_by_its_integer_id(self, as_staff: APIClient) -> None:
        as_staff.post(BULK, self.body([make_user().pk]))

        assert as_staff.get(f"/api/v1/jobs/{Job.objects.get().pk}/").status_code == 200

    @pytest.mark.parametrize("name", ["0", "abc", STRANGER])
    def test_what_is_no_job_is_404(self, as_staff: APIClient, name: str) -> None:
        response = as_staff.get(f"/api/v1/jobs/{name}")

        assert (response.status_code, response.data["code"]) == (404, "unknown_job")

    def test_too_many_recipients_are_refused_whole(self, as_staff: APIClient) -> None:
        response = as_staff.post(BULK, self.body([1] * 10_001))

        assert (response.status_code, response.data["code"]) == (400, "too_many_recipients")
        assert not Job.objects.exists()


def test_sending_needs_few_queries(
    with_key: KeyClient, user: User, django_assert_max_num_queries: Any
) -> None:
    client = with_key("notifications:send")
    client.post(SEND, send_body(user))

    with django_assert_max_num_queries(14):
        assert client.post(SEND, send_body(user)).status_code == 201


def test_a_template_that_is_switched_off_is_unknown(
    as_user: APIClient, user: User, template: NotificationTemplate
) -> None:
    NotificationTemplate.objects.update(is_active=False)

    response = as_user.post(SEND, send_body(user))

    assert (response.status_code, response.data["code"]) == (400, "unknown_template")


@pytest.fixture
def listed(override_environment):
    override_environment(
        email_from="Carillon <notify@example.com>",
        verified_senders=("Support@example.org", "@shop.example", "+15005550006"),
    )


@pytest.mark.parametrize(
    ("options", "errors"),
    [
        ({"sender": "Support <support@example.org>"}, []),
        ({"sender": "anybody@shop.example"}, []),
        ({"sender": "notify@example.com", "reply_to": "Help <help@anywhere.example>"}, []),
        ({"sender": "+15005550006"}, []),
        ({"sender": "ceo@example.org"}, ["unverified_sender"]),
        ({"sender": "x@sub.shop.example"}, ["unverified_sender"]),
        ({"sender": "+15005550007"}, ["unverified_sender"]),
        ({"sender": "no@no@no"}, ["unverified_sender"]),
        ({"reply_to": "unknown"}, ["invalid"]),
        ({"sender": "x", "reply_to": "unknown"}, ["unverified_sender", "invalid"]),
    ],
)
def test_a_send_names_only_verified_senders(with_key, user, template, listed, options, errors):
    body = send_body(user, channel="email", options=options)
    answer = with_key("notifications:send").post(SEND, body, format="json")

    assert answer.status_code == (400 if errors else 201)
    assert [error["code"] for error in answer.json().get("errors", [])] == errors
