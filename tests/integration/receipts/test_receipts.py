"""A vendor's callback is stored once and applied later, in any order."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta

import pytest
from standardwebhooks import Webhook

from directory.models import ContactPoint, Suppression
from notifications.domain.callers import SYSTEM
from notifications.domain.lifecycle import MessageStatus
from notifications.features.receipts.apply import apply_due
from notifications.features.upkeep.maintenance import maintain
from notifications.models import (
    DeadLetter,
    DeliveryAttempt,
    DeliveryBatch,
    MessageEvent,
    NotificationMessage,
    ProviderCallback,
    change_status,
)
from notifications.queue import batches
from notifications.services import OperationsService
from tests.integration.factories import make_messages, make_user
from tests.integration.statements import Statements

pytestmark = pytest.mark.django_db
PATH = "/api/v1/callbacks/generic"


@pytest.fixture
def report(client, frozen, settings):
    """Posts signed events and, by default, applies them."""
    numbers = itertools.count(1)

    def post(*events, apply=True, name=None):
        body = json.dumps({"events": list(events)})
        name = name or f"msg_{next(numbers)}"
        signature = Webhook(settings.CALLBACK_SECRET).sign(name, frozen.now, body)
        response = client.post(
            PATH,
            body,
            content_type="application/json",
            headers={
                "webhook-id": name,
                "webhook-timestamp": str(int(frozen.now.timestamp())),
                "webhook-signature": signature,
            },
        )
        if apply:
            apply_due(now=frozen.now)
        return response

    return post


def one(status="sent", *, user=None, channel="email", **more):
    """Returns a message in a state, and its reference."""
    (message,) = make_messages(1, channel=channel, user=user, in_batch=status == "pending", **more)
    if status != "pending":
        move(message, status)
    return message, reference_of(message)


def move(message, status):
    for step in {"delivered": ("sent", "delivered")}.get(status, (status,)):
        change_status([message.pk], MessageStatus(step), reason="test")


def reference_of(message):
    return f"{message.notification.uuid.hex}.{message.channel}"


def status_of(message):
    message.refresh_from_db()
    return message.status


def test_a_delivery_is_recorded_with_its_time(report, frozen):
    message, reference = one("sent")
    at = (frozen.now - timedelta(minutes=3)).isoformat()

    response = report({"event": "delivered", "reference": reference, "at": at})

    message.refresh_from_db()
    assert (response.status_code, response.json()) == (200, {"duplicate": False})
    assert message.status == "delivered"
    assert message.delivered_at == frozen.now - timedelta(minutes=3)
    assert message.history()[-1]["reason"] == "receipt:generic:delivered"
    assert ProviderCallback.objects.get().state == "applied"


@pytest.mark.parametrize(
    ("event", "was_sent", "words"), [("delivered", True, None), ("failed", False, "failed")]
)
def test_only_an_accepted_message_was_sent(report, frozen, event, was_sent, words):
    message, reference = one("uncertain")

    report({"event": event, "reference": reference})

    message.refresh_from_db()
    assert (message.status, message.last_error) == (event, words)
    assert message.sent_at == (frozen.now if was_sent else None)
    assert message.delivered_at == (frozen.now if was_sent else None)


def test_nothing_is_applied_before_the_response(report):
    message, reference = one("sent")

    report({"event": "delivered", "reference": reference}, apply=False)

    assert status_of(message) == "sent"
    assert ProviderCallback.objects.get().state == "waiting"


def test_the_same_callback_is_stored_once(report):
    message, reference = one("sent")
    event = {"event": "delivered", "reference": reference}

    responses = [report(event).json() for _ in range(3)]

    assert responses == [{"duplicate": False}, {"duplicate": True}, {"duplicate": True}]
    assert ProviderCallback.objects.count() == 1
    assert MessageEvent.objects.filter(message_id=message.pk, kind="delivered").count() == 1


@pytest.mark.parametrize(
    ("order", "ends"),
    [
        (("sent", "delivered"), "delivered"),
        (("delivered", "sent"), "delivered"),
        (("sent", "bounced"), "failed"),
        (("bounced", "sent"), "failed"),
        (("delivered", "bounced"), "delivered"),
        (("bounced", "delivered"), "delivered"),
        (("delivered", "failed", "sent"), "delivered"),
        (("complained", "delivered"), "delivered"),
        (("deferred", "sent"), "sent"),
    ],
)
@pytest.mark.parametrize("begins", ["sent", "uncertain"])
def test_the_order_of_receipts_does_not_matter(report, order, ends, begins):
    message, reference = one(begins)

    for kind in order:
        report({"event": kind, "reference": reference})

    assert status_of(message) == ends


@pytest.mark.parametrize("kind", ["sent", "failed", "bounced", "deferred"])
def test_delivered_is_never_reverted(report, kind):
    message, reference = one("delivered")

    report({"event": kind, "reference": reference})

    assert status_of(message) == "delivered"
    assert message.history()[-1]["reason"] == f"receipt:generic:{kind}"


@pytest.mark.parametrize("status", ["cancelled", "suppressed", "expired"])
def test_a_message_that_was_never_sent_is_unchanged(report, status):
    message, reference = one(status)

    report({"event": "delivered", "reference": reference})

    assert status_of(message) == status


def test_a_receipt_resolves_an_uncertain_message_and_its_dead_letter(report, frozen):
    message, reference = one("uncertain")
    dead_letter = create_dead_letter(message, "uncertain", frozen.now)

    report({"event": "sent", "reference": reference, "provider_message_id": "v-1"})

    dead_letter.refresh_from_db()
    message.refresh_from_db()
    assert (message.status, message.provider_message_id) == ("sent", "v-1")
    assert dead_letter.resolution == "settled"
    assert dead_letter.resolution_reason == "a receipt said sent"


def create_dead_letter(message, code, at):
    return DeadLetter.objects.create(
        message_id=message.pk,
        notification_id=message.notification_id,
        channel=message.channel,
        code=code,
        failed_at=at,
    )


def test_a_receipt_stops_a_pending_resend(report, frozen):
    message, reference = one("pending")
    change_status([message.pk], MessageStatus.UNCERTAIN, reason="worker_died")
    change_status([message.pk], MessageStatus.PENDING, reason="resent_by_crash_policy")

    report({"event": "delivered", "reference": reference})

    leases = batches.lease(owner="w", lane="default", seconds=60)
    from notifications.engine.prepare import prepare
    from notifications.engine.runs import keys_of

    assert status_of(message) == "delivered"
    assert prepare("email", keys_of(leases)).ready == []


def test_a_receipt_that_precedes_the_record_waits_for_it(report, frozen):
    message, reference = one("pending")
    journal(message, f"{message.pk}")

    report({"event": "delivered", "reference": reference})
    before = status_of(message)
    journal(message, "")
    change_status([message.pk], MessageStatus.SENT, reason="recorded")
    frozen.forward(5)
    apply_due(now=frozen.now)

    assert before == "pending"
    assert status_of(message) == "delivered"


@pytest.mark.parametrize("status", ["failed", "sent"])
def test_a_receipt_of_a_settled_message_waits_for_no_journal(report, status):
    message, reference = one("pending")
    journal(message, f"{message.pk}")
    NotificationMessage.objects.filter(pk=message.pk).update(status=status)

    report({"event": "delivered", "reference": reference})

    assert message.batch_id is not None
    assert status_of(message) == "delivered"


def journal(message, keys):
    DeliveryBatch.objects.filter(pk=message.batch_id).update(journal=keys)


def test_an_unknown_id_is_matched_when_the_send_is_recorded(report, frozen):
    message, _ = one("sent")

    report({"event": "delivered", "provider_message_id": "v-9"})
    before = status_of(message)
    DeliveryAttempt.objects.create(
        message_id=message.pk,
        number=1,
        provider="smtp",
        verdict="sent",
        provider_message_id="v-9",
        at=frozen.now,
    )
    frozen.forward(10)
    apply_due(now=frozen.now)

    assert before == "sent"
    assert status_of(message) == "delivered"


def test_an_unknown_id_is_abandoned_after_days(report, frozen):
    report({"event": "delivered", "reference": f"{5:032x}.email"})

    waits = []
    for _ in range(200):
        callback = ProviderCallback.objects.get()
        if callback.next_at is None:
            break
        waits.append((callback.next_at - frozen.now).total_seconds())
        frozen.now = callback.next_at
        apply_due(now=frozen.now)

    assert ProviderCallback.objects.get().state == "unmatched"
    assert waits[:3] == [2.0, 4.0, 8.0]
    assert max(waits) == 3600.0
    assert sum(waits) >= 3 * 86_400
    assert len(waits) < 100


@pytest.mark.parametrize(
    ("kind", "code", "state"),
    [
        ("bounced", "ses_bounce", "bounced"),
        ("complained", "", "unsubscribed"),
        ("unsubscribed", "", "unsubscribed"),
    ],
)
def test_the_address_is_closed_with_its_reason(report, kind, code, state):
    user = make_user(email="ann@example.org")
    _, reference = one("sent", user=user)

    report(
        {
            "event": kind,
            "reference": reference,
            "address": "Ann@Example.org",
            "code": code,
            "detail": "5.1.1",
        }
    )

    point = ContactPoint.objects.get(user=user, kind="email")
    assert point.state == state
    assert point.state_reason == f"generic: {code or kind} 5.1.1"


@pytest.mark.parametrize("kind", ["failed", "deferred", "delivered"])
def test_other_receipts_do_not_change_the_address(report, kind):
    user = make_user(email="ann@example.org")
    _, reference = one("sent", user=user)

    report({"event": kind, "reference": reference, "address": "ann@example.org"})

    assert ContactPoint.objects.get(user=user, kind="email").state == "active"


def test_an_address_without_a_user_is_suppressed(report):
    message, reference = one("sent")
    message.notification.address = {"email": "eve@example.org"}
    message.notification.save()
    NotificationMessage.objects.filter(pk=message.pk).update(user=None)

    report({"event": "bounced", "reference": reference, "address": "elsewhere@example.org"})

    assert Suppression.objects.get().address == "eve@example.org"


def test_a_bounce_is_a_dead_letter_that_can_be_replayed(report):
    message, reference = one("sent")

    report({"event": "bounced", "reference": reference, "code": "ses_bounce", "detail": "5.1.1"})

    dead_letter = DeadLetter.objects.get(message_id=message.pk)
    assert (dead_letter.code, dead_letter.last_error, dead_letter.provider) == (
        "ses_bounce",
        "5.1.1",
        "generic",
    )
    assert OperationsService().replay(ids=[dead_letter.pk], caller=SYSTEM) == 1
    assert status_of(message) == "pending"


def test_openings_do_not_change_the_status(report):
    message, reference = one("sent")

    report({"event": "opened", "reference": reference})

    assert status_of(message) == "sent"
    assert ProviderCallback.objects.get().state == "nothing"


def test_an_unsigned_callback_is_refused_and_not_stored(client):
    response = client.post(PATH, "{}", content_type="application/json")

    assert response.status_code == 403
    assert response.json()["code"] == "bad_signature"
    assert not ProviderCallback.objects.exists()


def test_callbacks_of_an_unknown_provider_are_refused(client):
    response = client.post("/api/v1/callbacks/pigeon", "{}", content_type="application/json")

    assert response.status_code == 404
    assert response.json()["code"] == "unknown_provider"
    assert "twilio" in response.json()["detail"]


def test_a_callback_needs_at_most_three_statements(report):
    _, reference = one("sent")
    report({"event": "opened", "reference": reference}, apply=False)
    with Statements() as made:
        response = report({"event": "delivered", "reference": reference}, apply=False)
    assert (response.status_code, response.json()["duplicate"]) == (200, False)
    assert len(made) <= 3, made.texts  # one of them only once in two seconds

    with Statements() as made:
        report({"event": "delivered", "reference": reference}, apply=False, name="msg_2")
    assert len(made) == 1, made.texts


def test_an_unreadable_callback_is_stored_and_reported(report):
    report({"event": "party", "reference": "x"})

    callback = ProviderCallback.objects.get()
    assert (callback.state, callback.next_at) == ("unreadable", None)
    assert callback.result == "an event has an unknown kind or time"


def test_a_text_that_cannot_be_stored_delays_no_other(report, frozen):
    message, reference = one("sent")
    bad, bad_reference = one("sent")
    report(
        {"event": "failed", "reference": bad_reference, "code": "x\x00y", "detail": "a\x00b"},
        apply=False,
    )
    report({"event": "delivered", "reference": reference})

    assert status_of(message) == "delivered"
    assert status_of(bad) in ("sent", "failed")


def test_old_callbacks_are_deleted_and_waiting_ones_are_not(report, frozen):
    _, reference = one("sent")
    report({"event": "delivered", "reference": reference})
    report({"event": "delivered", "reference": f"{5:032x}.email"})
    frozen.forward(31 * 86_400)

    assert maintain()["callbacks_deleted"] == 1

    assert ProviderCallback.objects.get().state == "waiting"


def test_operators_see_the_results_of_callbacks(report):
    _, reference = one("sent")
    report({"event": "delivered", "reference": reference})
    report({"event": "party", "reference": "x"})

    from notifications.features.receipts.service import CallbackService

    rows = CallbackService().stored(caller=SYSTEM, limit=50)
    unreadable = CallbackService().stored(caller=SYSTEM, state="unreadable", limit=50)

    assert [(row.provider, row.state) for row in rows] == [
        ("generic", "applied"),
        ("generic", "unreadable"),
    ]
    assert [row.id for row in unreadable] == [rows[1].id]
