"""No readable column has the address, phone, token or name that a vendor repeats in an error."""

from __future__ import annotations

from itertools import product

import pytest

from directory.models import ContactPoint, Device, Suppression
from notifications.domain.callers import SYSTEM
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import Part, SendResult, Target, Verdict
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare
from notifications.engine.runs import keys_of
from notifications.engine.settlement import settle
from notifications.features.receipts.apply import apply_due
from notifications.features.sending.service import NotificationService
from notifications.models import (
    DeadLetter,
    DeliveryAttempt,
    LateOutcome,
    NotificationMessage,
    ProviderCallback,
    change_status,
)
from notifications.queue import batches
from notifications.recording.late_results import store_late_results
from notifications.recording.record import record
from tests.integration.factories import make_messages, make_template, make_willing_user
from tests.integration.privacy.conftest import texts_of_database

pytestmark = pytest.mark.django_db
MAIL, PHONE, TOKEN = "zebulon@example.org", "+4915112345678", "T0k3n91bHx0123456789abcdEF"
SECRETS = (MAIL, PHONE.lstrip("+"), TOKEN, "Zebulon", "Quagmire", "zebu-17")
ECHO = f"no <{MAIL}>, {PHONE}, {TOKEN}: Zebulon QUAGMIRE (zebu-17) is gone"
REDACTED = "no <[address]>, [address], [token]: [name] [name] ([name]) is gone"


@pytest.fixture
def person(override_environment, frozen):
    override_environment(email_provider="smtp", sms_provider="twilio", push_provider="fcm")
    user = make_willing_user(
        username="zebu-17",
        email=MAIL,
        first_name="Zebulon",
        last_name="Quagmire",
        phone_number=PHONE,
    )
    Device.objects.create(user=user, token=TOKEN)
    return user


def fail(channel, verdict, *, late=False):
    """One pass in which the vendor repeats the recipient."""
    result = SendResult(verdict, error=ECHO, error_code="x", recipient_dead=not late)
    slice_ = prepare(channel, keys_of(batches.lease(owner="w", lane="default", seconds=60)))
    going = journal(slice_.ready, owner="w", outcomes=slice_.outcomes)
    outcomes = []
    for item in going:
        parts = tuple(
            Part(Target(t.device_id, t.provider, TOKEN), result) for t in item.outbound.targets
        )
        whole = SendResult(verdict, error=ECHO, error_code="x", recipient_dead=True, parts=parts)
        outcomes.append(settle(item, whole, at=slice_.at))
    if late:
        store_late_results(outcomes)
    record(outcomes, owner="w")
    return len(outcomes)


def check(*, at_least):
    """No column of either database has a secret, and the error columns have the rest."""
    stored = texts_of_database().lower()
    assert [each for each in SECRETS if each.lower() in stored] == []
    assert stored.count(REDACTED.lower()) >= at_least


@pytest.mark.parametrize(
    ("channel", "verdict"),
    [
        *product(["email", "sms", "push"], [Verdict.FAILED, Verdict.RETRY]),
        ("email", Verdict.UNCERTAIN),
    ],
)
def test_a_failed_call(person, channel, verdict):
    make_messages(1, channel=channel, user=person)
    assert fail(channel, verdict, late=True) == 1
    check(at_least=3)
    assert REDACTED in NotificationMessage.objects.get().last_error
    assert DeliveryAttempt.objects.get().error == REDACTED
    assert LateOutcome.objects.get().error == REDACTED


def test_a_dead_contact_and_its_reason(person):
    make_messages(1, channel="email", user=person)
    fail("email", Verdict.FAILED)
    check(at_least=3)
    assert REDACTED in ContactPoint.objects.get(kind="email").state_reason
    assert DeadLetter.objects.get().last_error == REDACTED


def test_an_address_without_a_user(override_environment, frozen):
    override_environment(email_provider="smtp")
    make_template("test.plain", email_body_template="{{ amount }}")
    body = {
        "template_path": "test.plain",
        "to": {"email": MAIL},
        "channel": "email",
        "context": {"amount": 5},
    }
    NotificationService().send(body=body, caller=SYSTEM)
    slice_ = prepare("email", keys_of(batches.lease(owner="w", lane="default", seconds=60)))
    going = journal(slice_.ready, owner="w", outcomes=slice_.outcomes)
    result = SendResult(Verdict.FAILED, error=f"<{MAIL}> {PHONE}", recipient_dead=True)
    record([settle(item, result, at=slice_.at) for item in going], owner="w")
    assert DeadLetter.objects.get().last_error == "<[address]> [address]"
    assert Suppression.objects.get().reason == "smtp: <[address]> [address]"
    assert MAIL not in texts_of_database()


def test_a_receipt(person, frozen):
    (message,) = make_messages(1, channel="email", user=person, in_batch=False)
    change_status([message.pk], MessageStatus.SENT, reason="test")
    event = {
        "event": "bounced",
        "reference": f"{message.notification.uuid.hex}.email",
        "address": MAIL,
        "code": "x",
        "detail": ECHO.replace(TOKEN, "-"),
    }
    ProviderCallback.objects.report(provider="generic", name="one", events=[event], at=frozen.now)
    apply_due(now=frozen.now)
    assert ProviderCallback.objects.get().state == "applied"
    stored = texts_of_database().lower()
    assert [each for each in SECRETS if each.lower() in stored] == []
    assert "[address]" in DeadLetter.objects.get().last_error
    assert "[name]" in ContactPoint.objects.get(kind="email").state_reason
