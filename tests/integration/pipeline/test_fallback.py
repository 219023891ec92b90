"""Fallback: the next channel when one failed for good, is closed, or was not read in time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from directory.models import ContactPoint
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.domain.messages import SendResult, Verdict
from notifications.domain.receipts import Receipt, ReceiptKind
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare
from notifications.engine.runs import deliver_rows, keys_of
from notifications.engine.settlement import settle
from notifications.features.inbox import actions
from notifications.features.inbox.marks import mark_all_seen
from notifications.features.rooms import presence
from notifications.models import (
    ChangeKind,
    DeliveryBatch,
    Notification,
    NotificationMessage,
    UserNotificationPreference,
    WebProcess,
)
from notifications.queue import batches
from notifications.recording.receipts import apply_receipt
from notifications.recording.record import record
from notifications.services import NotificationService
from tests.integration.factories import make_template, make_user, make_willing_user

pytestmark = pytest.mark.django_db
GONE = SendResult(Verdict.FAILED, error_code="http_410")
AGAIN = SendResult(Verdict.RETRY, error_code="http_503")
DOUBT = SendResult(Verdict.UNCERTAIN, error_code="timeout")
SENT = SendResult(Verdict.SENT, provider_message_id="v1")


@pytest.fixture(autouse=True)
def clock(frozen):
    """Time stands still until it is moved."""
    return frozen


@pytest.fixture(autouse=True)
def _real_mail(override_environment):
    override_environment(email_provider="smtp", rate_limits=("smtp=off",))


def send(user, *, channel="email", category="payment", **options):
    body = {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channel": channel,
        "category": category,
        "context": {"amount": 5},
        "options": options,
    }
    return NotificationService().send(body=body, caller=SYSTEM)


def work(answer_with=SENT):
    """One pass over what is due: the inbox accepts all, providers return `answer_with`."""
    leases = batches.lease(owner="w", lane="default", seconds=60)
    for channel in {held.channel for held in leases}:
        group = [held for held in leases if held.channel == channel]
        if channel == "in_app":
            deliver_rows(group, owner="w")
            continue
        made = prepare(channel, keys_of(group))
        record(made.outcomes, owner="w")
        going = journal(made.ready, owner="w")
        record([settle(i, answer_with, at=timezone.now()) for i in going], owner="w")
    return len(leases)


def states():
    rows = NotificationMessage.objects.order_by("pk").values_list("channel", "status")
    return dict(rows)


def trail_of(channel):
    return [
        (entry["event"], entry["reason"])
        for entry in NotificationMessage.objects.get(channel=channel).history()
    ]


def test_a_final_failure_leads_to_the_next_channel():
    make_template()
    send(make_user(), fallback=["in_app"])
    work(GONE)
    assert states() == {"email": "failed", "in_app": "pending"}
    work()
    assert states() == {"email": "failed", "in_app": "delivered"}
    assert trail_of("in_app")[0] == ("fallback", "email:http_410")
    assert NotificationService().status(identifier=_uuid(), caller=SYSTEM).status == "delivered"


def _uuid():
    return str(Notification.objects.get().uuid)


@pytest.mark.parametrize("answer", [AGAIN, SENT, DOUBT])
def test_what_may_still_arrive_leads_nowhere(answer):
    make_template()
    send(make_user(), fallback=["in_app"])
    work(answer)
    assert set(states()) == {"email"}


def test_a_channel_that_is_closed_leads_to_the_next():
    make_template()
    user = make_user()
    ContactPoint.objects.filter(user=user).update(state="bounced")
    send(user, fallback=["in_app"])
    work()
    assert states() == {"email": "suppressed", "in_app": "pending"}
    assert trail_of("in_app") == [("fallback", "email:contact_bounced")]


def test_who_wants_the_inbox_alone_gets_it_there():
    make_template()
    user = make_user()
    UserNotificationPreference.objects.create(
        user=user, digest_frequency="never", data_processing_consent=True
    )
    send(user, fallback=["in_app"])
    work()
    assert states() == {"email": "suppressed", "in_app": "pending"}
    assert trail_of("in_app") == [("fallback", "email:digest_never")]


def test_a_country_without_sms_leads_to_the_next(override_environment):
    override_environment(sms_countries=("US",), sms_daily_spend=0)
    make_template()
    user = make_willing_user()
    ContactPoint.objects.create(user=user, kind="phone", address="+442071838750")
    send(user, channel="sms", fallback=["in_app"])
    work()
    assert states() == {"sms": "suppressed", "in_app": "pending"}
    assert trail_of("in_app") == [("fallback", "sms:country_not_allowed:GB")]


def test_what_the_person_refused_altogether_leads_nowhere():
    make_template()
    user = make_user()
    user.is_active = False
    user.save()
    send(user, fallback=["in_app"])
    work()
    assert states() == {"email": "suppressed"}


def test_the_chain_goes_on_to_its_end():
    make_template()
    user = make_user()
    ContactPoint.objects.filter(user=user).delete()
    send(user, fallback=["sms", "in_app"])
    for _ in range(4):
        work()
    assert states() == {"email": "suppressed", "sms": "suppressed", "in_app": "delivered"}


def test_a_replayed_failure_makes_no_second_fallback():
    make_template()
    send(make_user(), fallback=["in_app"])
    work(GONE)
    work()
    NotificationMessage.objects.filter(channel="email").update(status="pending")
    message = NotificationMessage.objects.get(channel="email")
    (batch_id,) = batches.insert(
        batches.batches_of(
            lane="default", channel="email", source="key:1", due_at=None, keys=[message.pk]
        )
    )
    NotificationMessage.objects.filter(pk=message.pk).update(batch_id=batch_id)
    work(GONE)
    assert NotificationMessage.objects.count() == 2


def test_a_bounce_that_comes_later_leads_on():
    make_template()
    send(make_user(), fallback=["in_app"])
    work()
    assert states() == {"email": "sent"}
    reference = f"{Notification.objects.get().uuid.hex}.email"
    receipt = Receipt(kind=ReceiptKind.BOUNCED, reference=reference)
    apply_receipt(receipt, provider="smtp", now=timezone.now())
    assert states() == {"email": "failed", "in_app": "pending"}


@pytest.mark.parametrize("how", ["read", "seen"])
def test_unread_in_time_leads_on_and_read_meanwhile_does_not(clock, how):
    make_template()
    user = make_user()
    send(user, channel="in_app", fallback=["email"], fallback_after_s=3600)
    send(user, channel="in_app", fallback=["email"], fallback_after_s=3600)
    work()
    waiting = NotificationMessage.objects.filter(channel="email")
    assert waiting.count() == 2
    assert {m.scheduled_at for m in waiting} == {clock.now + timedelta(hours=1)}
    assert work() == 0

    # A visible client is connected all the time: that stops nothing.
    presence.write_people(presence.begin_lease("a web process"), {user.pk: True})
    presence.note_last_seen([user.pk])
    read = Notification.objects.order_by("pk").first()
    if how == "read":
        actions.act(user.pk, [read.pk], ChangeKind.READ)
    else:  # a visible document showed it
        mark_all_seen([(user.pk, read.pk)])
    clock.forward(3600)
    WebProcess.objects.update(lease_until=clock.now + timedelta(minutes=1))
    assert presence.is_online(user.pk)
    assert work() == 2
    found = dict(waiting.values_list("notification_id", "status"))
    assert found.pop(read.pk) == "suppressed"
    assert set(found.values()) == {"sent"}
    suppressed = waiting.get(notification_id=read.pk)
    assert suppressed.history()[-1]["reason"] == "already_read"
    assert not DeliveryBatch.objects.exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"fallback": ["fax"]}, "invalid_channel"),
        ({"fallback": ["sms", "sms"]}, "duplicate_channel"),
        ({"fallback": ["email"]}, "one_channel"),
        ({"fallback_after_s": 60}, "fallback_needed"),
        ({"fallback": ["in_app"], "fallback_after_s": 0}, "invalid"),
    ],
)
def test_a_chain_that_makes_no_sense_is_refused(options, code):
    make_template()
    user = make_user()
    with pytest.raises(InvalidRequest) as refused:
        send(user, **options)
    assert [error.code for error in refused.value.errors] == [code]


def test_a_fallback_for_which_the_template_has_no_text_is_refused():
    make_template(supported_channels=["email"])
    with pytest.raises(InvalidRequest) as refused:
        send(make_user(), fallback=["in_app"])
    assert [(e.path, e.code) for e in refused.value.errors] == [
        ("options.fallback", "channel_not_in_template")
    ]
