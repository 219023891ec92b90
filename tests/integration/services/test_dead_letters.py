"""Thousands of dead letters, the outcome that an operator sets, and the alert."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from carillon.cli import carillon
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.features.dead_letters.service import (
    DeadLetterFilter,
    DeadLetterService,
    update_alert,
)
from notifications.features.webhooks.deliver import _body
from notifications.models import (
    DeadLetter,
    DeliveryBatch,
    NotificationMessage,
    OperatorAction,
    OperatorAlert,
    StatusEvent,
)
from notifications.models.operations.status_webhook import WebhookEndpoint, forget_subscriptions
from tests.integration.factories import make_messages, make_template

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _stopped_clock(frozen):
    """Time stands still."""


def make_dead_letters(
    count, frozen, *, channel="email", code="smtp_550", status="failed", version=None, **values
):
    made = []
    for message in make_messages(count, channel=channel, in_batch=False, **values):
        NotificationMessage.objects.filter(pk=message.pk).update(status=status, attempts=3)
        made.append(
            DeadLetter.objects.create(
                message_id=message.pk,
                notification_id=message.notification_id,
                channel=channel,
                provider="smtp",
                code=code,
                last_error="no",
                attempts=3,
                failed_at=frozen.now,
                template_version_id=version,
            )
        )
    return made


def resolve(dead_letters, outcome, reason="the user confirmed it"):
    ids = [dead_letter.pk for dead_letter in dead_letters]
    response = DeadLetterService().resolve(ids=ids, outcome=outcome, reason=reason, caller=SYSTEM)
    return response.settled


def test_matching_dead_letters_are_replayed_in_batches_and_the_rest_stays(frozen):
    template = make_template()
    make_dead_letters(600, frozen, code="auth", version=template.current_version_id)
    make_dead_letters(3, frozen, code="smtp_550", version=template.current_version_id)
    make_dead_letters(2, frozen, code="auth")
    wanted = DeadLetterFilter(code="auth", template_path="test.hello")

    response = DeadLetterService().replay_matching(wanted=wanted, caller=SYSTEM)

    assert (response.done, response.left) == (600, 0)
    assert sorted(DeliveryBatch.objects.values_list("size", flat=True)) == [100, 500]
    assert DeadLetter.objects.filter(resolved_at=None).count() == 5
    assert OperatorAction.objects.get().target == "600 of 600"


def test_a_call_processes_a_limited_number_and_reports_the_rest(frozen, monkeypatch):
    monkeypatch.setattr("notifications.features.dead_letters.service.MOST", 2)
    make_dead_letters(3, frozen)
    response = DeadLetterService().discard_matching(
        wanted=DeadLetterFilter(), reason="tests", caller=SYSTEM
    )
    assert (response.done, response.left) == (2, 1)


@pytest.mark.parametrize(
    ("outcome", "status", "is_sent", "is_delivered"),
    [("sent", "sent", True, False), ("delivered", "delivered", True, True)],
)
def test_an_operator_sets_the_outcome_of_an_uncertain_message(
    frozen, outcome, status, is_sent, is_delivered
):
    dead_letters = make_dead_letters(2, frozen, code="uncertain", status="uncertain")

    assert resolve(dead_letters, outcome) == 2
    assert resolve(dead_letters, "failed") == 0  # once

    message = NotificationMessage.objects.latest("pk")
    assert message.status == status
    assert (message.sent_at is not None, message.delivered_at is not None) == (
        is_sent,
        is_delivered,
    )
    dead_letter = DeadLetter.objects.latest("pk")
    assert (dead_letter.resolution, dead_letter.resolution_reason) == (
        "settled",
        "the user confirmed it",
    )
    assert message.history()[-1]["reason"].startswith("settled by")


def test_an_operator_marks_a_dead_letter_as_failed_and_the_fallback_follows(frozen):
    (dead_letter,) = make_dead_letters(1, frozen, code="uncertain", status="uncertain")
    message = NotificationMessage.objects.select_related("notification").get()
    message.notification.options = {"fallback": ["sms"]}
    message.notification.save()

    assert resolve([dead_letter], "failed") == 1

    assert dict(NotificationMessage.objects.values_list("channel", "status")) == {
        "email": "failed",
        "sms": "pending",
    }


def test_contradictory_arguments_are_refused(frozen):
    with pytest.raises(InvalidRequest) as caught:
        resolve(make_dead_letters(1, frozen), "maybe", " ")
    assert [(each.path, each.code) for each in caught.value.errors] == [
        ("outcome", "unknown_outcome"),
        ("reason", "required"),
    ]


def test_the_alert_is_raised_once_reported_and_ended(frozen, override_environment):
    override_environment(dead_letter_alert_threshold=3)
    WebhookEndpoint.objects.create(
        url="https://platform.example/hook",
        secrets=[],
        created_by="x",
        created_at=frozen.now,
        updated_at=frozen.now,
    )
    forget_subscriptions()
    dead_letters = make_dead_letters(2, frozen)
    assert update_alert(now=frozen.now) == ""
    dead_letters += make_dead_letters(1, frozen)
    assert update_alert(now=frozen.now) == "raised"
    assert update_alert(now=frozen.now) == ""
    event = StatusEvent.objects.get()
    assert event.kind == "dead_letters.alert"
    assert json.loads(_body(event, {}))["data"] == {"count": 3, "limit": 3}
    resolve(dead_letters[:1], "delivered")
    assert update_alert(now=frozen.now) == "ended"
    assert OperatorAlert.objects.count() == 0


def run(*words):
    return CliRunner().invoke(carillon, ["dead-letters", *words])


def test_the_command_line_filters_replays_settles_and_discards(frozen):
    dead_letters = make_dead_letters(3, frozen, code="auth") + make_dead_letters(
        2, frozen, code="uncertain"
    )
    listed = json.loads(run("list", "--code", "auth", "--json").stdout)
    assert len(listed["dead_letters"]) == 3
    assert json.loads(run("replay", "--code", "auth", "--json").stdout.splitlines()[-1]) == {
        "replayed": 3,
        "not_open": 0,
    }
    settled = run(
        "settle", str(dead_letters[3].pk), "--as", "delivered", "--reason", "confirmed by the user"
    )
    assert "1 settled" in settled.stdout
    assert "give ids, or a filter" in run("discard", "--reason", "x").output
    assert "give ids, or a filter" in run("replay", "1", "--all").output
    assert "1 discarded" in run("discard", "--all", "--reason", "x").stdout
