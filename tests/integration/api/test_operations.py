"""Kill switches and dead letters by HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from notifications.domain.lifecycle import MessageStatus
from notifications.infra import clock
from notifications.models import DeadLetter, DeliveryBatch, KillSwitch, NotificationMessage
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db
STOP = "/api/v1/kill-switch/"
LETTERS = "/api/v1/dead-letters/"


def make_letters(count: int, *, channel: str = "email", code: str = "smtp_550") -> list[DeadLetter]:
    """Failed messages with their dead letters."""
    made = []
    for message in make_messages(count, channel=channel, in_batch=False):
        NotificationMessage.objects.filter(pk=message.pk).update(
            status=MessageStatus.FAILED, attempts=3
        )
        made.append(
            DeadLetter.objects.create(
                message_id=message.pk,
                notification_id=message.notification_id,
                channel=channel,
                provider="smtp",
                category="payment",
                code=code,
                last_error="no such mailbox",
                attempts=3,
                failed_at=clock.now(),
            )
        )
    return made


class TestKillSwitch:
    def test_a_stop_is_made_listed_and_lifted(self, as_staff: APIClient) -> None:
        made = as_staff.post(STOP, {"scope": "channel", "value": "sms", "reason": "costs"})

        assert made.status_code == 201
        assert made.data["actor"].startswith("user:")
        assert [row["value"] for row in as_staff.get(STOP).data["results"]] == ["sms"]
        assert as_staff.delete(f"{STOP}?scope=channel&value=sms").status_code == 204
        assert as_staff.get(STOP).data["results"] == []

    def test_everything_is_stopped_without_a_value(self, as_staff: APIClient) -> None:
        made = as_staff.post(STOP, {"scope": "all", "reason": "incident 7"})

        assert (made.status_code, made.data["value"]) == (201, "")
        assert as_staff.delete(f"{STOP}?scope=all").status_code == 204

    def test_lifting_what_is_not_stopped_is_404(self, as_staff: APIClient) -> None:
        response = as_staff.delete(f"{STOP}?scope=channel&value=sms")

        assert (response.status_code, response.data["code"]) == (404, "unknown_stop")

    @pytest.mark.parametrize(
        ("body", "path", "code"),
        [
            ({"scope": "planet", "reason": "x"}, "scope", "unknown_scope"),
            ({"scope": "channel", "reason": "x"}, "value", "required"),
            ({"scope": "channel", "value": "pigeon", "reason": "x"}, "value", "unknown_channel"),
            ({"scope": "all", "reason": " "}, "reason", "required"),
            ({"scope": "all"}, "reason", "required"),
            ({"scope": 1, "reason": "x"}, "scope", "wrong_type"),
        ],
    )
    def test_a_stop_that_means_nothing_is_refused(
        self, as_staff: APIClient, body: dict[str, Any], path: str, code: str
    ) -> None:
        response = as_staff.post(STOP, body)

        assert response.status_code == 400
        assert (path, code) in {(e["path"], e["code"]) for e in response.data["errors"]}
        assert not KillSwitch.objects.exists()


class TestDeadLetters:
    def test_they_are_listed_with_their_reason(self, as_staff: APIClient) -> None:
        (letter,) = make_letters(1)

        (row,) = as_staff.get(LETTERS).data["results"]

        assert row["id"] == letter.pk
        assert (row["channel"], row["code"], row["attempts"]) == ("email", "smtp_550", 3)
        assert row["last_error"] == "no such mailbox"
        assert row["resolution"] == ""

    def test_they_are_filtered_and_paged(self, as_staff: APIClient) -> None:
        mails = [letter.pk for letter in make_letters(3)]
        make_letters(2, channel="sms", code="twilio_21211")

        first = as_staff.get(f"{LETTERS}?channel=email&limit=2").data
        second = as_staff.get(first["next"]).data

        assert [row["id"] for row in first["results"] + second["results"]] == mails
        assert second["next"] is None
        assert as_staff.get(second["previous"]).data["results"] == first["results"]
        assert len(as_staff.get(f"{LETTERS}?code=twilio_21211").data["results"]) == 2

    def test_replaying_sends_them_again(self, as_staff: APIClient) -> None:
        letters = make_letters(2)

        response = as_staff.post(f"{LETTERS}replay/", {"ids": [row.pk for row in letters]})

        assert (response.status_code, response.data) == (200, {"replayed": 2})
        assert {m.status for m in NotificationMessage.objects.all()} == {MessageStatus.PENDING}
        assert sum(batch.size for batch in DeliveryBatch.objects.all()) == 2
        again = as_staff.post(f"{LETTERS}replay", {"ids": [row.pk for row in letters]})
        assert again.data == {"replayed": 0}
        assert len(as_staff.get(f"{LETTERS}?resolved=true").data["results"]) == 2

    def test_discarding_closes_them_with_a_reason(self, as_staff: APIClient) -> None:
        (letter,) = make_letters(1)

        response = as_staff.post(
            f"{LETTERS}discard/", {"ids": [letter.pk], "reason": "left the school"}
        )

        assert (response.status_code, response.data) == (200, {"discarded": 1})
        letter.refresh_from_db()
        assert (letter.resolution, letter.resolution_reason) == ("discarded", "left the school")

    @pytest.mark.parametrize(
        ("call", "body", "path"),
        [
            ("replay", {}, "ids"),
            ("replay", {"ids": []}, "ids"),
            ("replay", {"ids": ["1"]}, "ids"),
            ("replay", {"ids": [0]}, "ids"),
            ("replay", {"ids": [1 << 63]}, "ids"),
            ("replay", {"ids": list(range(1, 10_002))}, "ids"),
            ("discard", {"ids": [1]}, "reason"),
            ("discard", {"ids": [1], "reason": ""}, "reason"),
        ],
    )
    def test_bodies_that_name_nothing_are_refused(
        self, as_staff: APIClient, call: str, body: dict[str, Any], path: str
    ) -> None:
        response = as_staff.post(f"{LETTERS}{call}", body)

        assert response.status_code == 400
        assert path in {error["path"] for error in response.data["errors"]}


class TestManyDeadLetters:
    def test_matching_dead_letters_are_replayed_resolved_and_discarded(
        self, as_staff: APIClient
    ) -> None:
        letters = make_letters(2, code="auth")
        make_letters(1, code="uncertain")
        body = {"ids": [letters[0].pk], "outcome": "delivered", "reason": "she says so"}

        assert as_staff.post(f"{LETTERS}settle", body).data == {"settled": 1}
        answer = as_staff.post(f"{LETTERS}replay-matching", {"code": "auth"})
        assert answer.data == {"done": 1, "left": 0}
        answer = as_staff.post(f"{LETTERS}discard-matching", {"reason": "tests"})
        assert answer.data == {"done": 1, "left": 0}

    def test_a_template_is_a_filter(self, as_staff: APIClient) -> None:
        make_letters(1)
        assert as_staff.get(f"{LETTERS}?template=test.hello").data["results"] == []

    def test_what_makes_no_sense_is_reported(self, as_staff: APIClient) -> None:
        wrong = as_staff.post(f"{LETTERS}replay-matching", {"failed_before": "soon"})
        assert (wrong.status_code, wrong.data["code"]) == (400, "invalid_time")
        wrong = as_staff.post(f"{LETTERS}settle", {"ids": [1], "outcome": "maybe", "reason": "x"})
        assert (wrong.status_code, wrong.data["code"]) == (400, "unknown_outcome")
