"""A push to several devices, from the lease to the record, with scripted providers."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from datetime import timedelta
from typing import ClassVar

import pytest

from directory.models import ContactPoint, Device, Suppression
from notifications.delivery.base import Capabilities, NotificationChannelProvider, outcome_of
from notifications.delivery.provider_calls import ProviderCalls
from notifications.domain.messages import SendResult, Verdict
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare
from notifications.engine.runs import keys_of
from notifications.engine.settlement import settle
from notifications.models import DeadLetter, DeliveryAttempt, KillSwitch, NotificationMessage
from notifications.queue import batches
from notifications.recording.contacts import close_contact
from notifications.recording.record import record
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db
SENT = SendResult(Verdict.SENT, provider_message_id="m")
AGAIN = SendResult(Verdict.RETRY, error_code="http_503")
DEAD = SendResult(Verdict.FAILED, error_code="unregistered", recipient_dead=True)


class Fake(NotificationChannelProvider):
    """Answers what its script says for an address; takes the rest."""

    capabilities: ClassVar[Capabilities] = Capabilities(channel="push")
    script: ClassVar[dict[str, deque]] = {}
    calls: ClassVar[list[tuple[str, str]]] = []
    messages: ClassVar[list[dict]] = []

    async def validate_recipient(self, recipient):
        return True

    async def send(self, recipient, message):
        self.calls.append((self.key, recipient))
        self.messages.append(message)
        planned = self.script.get(recipient)
        return outcome_of(planned.popleft() if planned else SENT)


def fake(key):
    return type(f"Fake{key}", (Fake,), {"key": key})


@pytest.fixture(autouse=True)
def _stopped_clock(frozen):
    """Time stands still."""


@pytest.fixture
def plan(override_environment):
    override_environment(push_provider="fcm", fcm_credentials="/none")
    Fake.script, Fake.calls, Fake.messages = {}, [], []

    def change(**answers):
        Fake.script = {name: deque(results) for name, results in answers.items()}

    return change


def device(user, token, **more):
    return Device.objects.create(user=user, token=token, **more)


def work():
    """One pass over what is due, as a worker does it."""
    leases = batches.lease(owner="w", lane="default", seconds=60)
    slice_ = prepare("push", keys_of(leases))
    going = journal(slice_.ready, owner="w", outcomes=slice_.outcomes)
    outcomes = []

    def land(sent, results):
        by_id = {item.message.id: item for item in going}
        for outbound, result in zip(sent, results, strict=True):
            item = by_id[outbound.message_id]
            outcomes.append(settle(item, result, at=slice_.at))

    async def dispatch():
        calls = ProviderCalls(load=fake)
        for provider in {item.provider for item in going}:
            await calls.send(
                provider,
                [item.outbound for item in going if item.provider == provider],
                timeout_s=5,
                on_results=land,
            )
        await calls.close()

    asyncio.run(dispatch())
    record(outcomes, owner="w")
    batches.release([held for held in leases if held.open_keys], "w")


def attempts(message):
    rows = DeliveryAttempt.objects.filter(message_id=message.pk).order_by("id")
    return [(row.number, row.provider, row.device_id, row.verdict) for row in rows]


def test_every_device_has_an_attempt_of_its_own(plan):
    user = make_user()
    phone = device(user, "phone")
    browser = device(user, "https://push.example/x", kind="webpush", keys={"auth": "a"})
    (message,) = make_messages(1, channel="push", user=user)

    work()

    message.refresh_from_db()
    subscription = json.dumps({"endpoint": "https://push.example/x", "keys": {"auth": "a"}})
    assert (message.status, message.attempts) == ("sent", 1)
    assert sorted(Fake.calls) == [("fcm", "phone"), ("webpush", subscription)]
    assert sorted(attempts(message)) == sorted(
        [(1, "fcm", phone.pk, "sent"), (1, "webpush", browser.pk, "sent")]
    )


def test_the_sandbox_shares_the_pushes_by_weight(plan, override_environment):
    override_environment(push_provider="fcm=1,sandbox=1", fcm_credentials="/none")
    user = make_user()
    phone = device(user, "phone")
    device(user, "https://push.example/x", kind="webpush", keys={"auth": "a"})
    messages = make_messages(30, channel="push", user=user)

    work()

    providers = {message.pk: {name for _, name, *_ in attempts(message)} for message in messages}
    to_devices = [pk for pk, names in providers.items() if names == {"fcm", "webpush"}]
    # The sandbox writes no attempts: its calls go nowhere.
    to_sandbox = [
        message.pk
        for message in NotificationMessage.objects.exclude(pk__in=to_devices)
        if message.history()[-1]["reason"] == "sandbox"
    ]
    assert sorted(to_devices + to_sandbox) == [message.pk for message in messages]
    assert min(len(to_devices), len(to_sandbox)) > 5
    assert DeliveryAttempt.objects.filter(provider="fcm").first().device_id == phone.pk


def test_a_retry_of_a_push_never_moves_to_the_sandbox(plan, override_environment, frozen):
    override_environment(push_provider="fcm=1000,sandbox=1", fcm_credentials="/none")
    user = make_user()
    device(user, "down")
    (message,) = make_messages(1, channel="push", user=user)
    plan_down = [AGAIN] * 5
    plan(down=plan_down)

    for _ in range(3):
        work()
        frozen.forward(60)

    message.refresh_from_db()
    assert {name for _, name, *_ in attempts(message)} == {"fcm"}
    assert message.status == "failed"


def test_only_the_devices_that_may_yet_take_it_are_tried_again(plan, frozen):
    user = make_user()
    ok, dead, slow = device(user, "ok"), device(user, "dead"), device(user, "slow")
    (message,) = make_messages(1, channel="push", user=user)
    plan(slow=[AGAIN], dead=[DEAD])

    work()
    message.refresh_from_db()
    between = message.status
    Fake.calls.clear()
    frozen.forward(10)
    work()

    message.refresh_from_db()
    dead.refresh_from_db()
    assert between == "pending"
    assert Fake.calls == [("fcm", "slow")]
    assert (message.status, message.attempts) == ("sent", 2)
    assert sorted(attempts(message)) == sorted(
        [
            (1, "fcm", ok.pk, "sent"),
            (1, "fcm", dead.pk, "failed"),
            (1, "fcm", slow.pk, "retry"),
            (2, "fcm", slow.pk, "sent"),
        ]
    )
    assert dead.expired_at == frozen.now - timedelta(seconds=10)


def test_it_is_sent_when_one_device_took_it_and_the_other_never_did(plan, frozen):
    user = make_user()
    device(user, "ok")
    device(user, "down")
    (message,) = make_messages(1, channel="push", user=user)
    plan(down=[AGAIN] * 5)

    for _ in range(3):
        work()
        frozen.forward(60)

    message.refresh_from_db()
    assert (message.status, message.attempts) == ("sent", 3)
    assert message.history()[-1]["reason"] == "to_some_devices"
    assert [name for _, name in Fake.calls].count("ok") == 1
    assert not DeadLetter.objects.filter(message_id=message.pk).exists()


def test_it_is_sent_when_the_rest_expires_before_the_next_try(plan, frozen):
    user = make_user()
    device(user, "ok")
    device(user, "down")
    (message,) = make_messages(1, channel="push", user=user)
    message.notification.expires_at = frozen.now + timedelta(seconds=1)
    message.notification.save()
    plan(down=[AGAIN] * 5)

    work()
    frozen.forward(60)
    work()

    message.refresh_from_db()
    assert message.status == "sent"


def test_it_is_sent_when_the_other_device_went_away_meanwhile(plan, frozen):
    user = make_user()
    device(user, "ok")
    gone = device(user, "down")
    (message,) = make_messages(1, channel="push", user=user)
    plan(down=[AGAIN])

    work()
    gone.delete()
    frozen.forward(60)
    work()

    message.refresh_from_db()
    assert message.status == "sent"
    assert len(Fake.calls) == 2


def test_it_failed_when_every_device_is_dead(plan):
    user = make_user()
    device(user, "one")
    device(user, "two")
    (message,) = make_messages(1, channel="push", user=user)
    plan(one=[DEAD], two=[DEAD])

    work()

    message.refresh_from_db()
    assert message.status == "failed"
    assert Device.objects.live().filter(user=user).count() == 0
    assert DeadLetter.objects.get(message_id=message.pk).code == "unregistered"


def test_devices_that_no_one_carries_are_no_contact(plan):
    user = make_user()
    device(user, "iphone", kind="apns")
    (message,) = make_messages(1, channel="push", user=user)

    work()

    message.refresh_from_db()
    assert message.status == "suppressed"
    assert message.history()[-1]["reason"] == "no_contact_point"


def test_only_the_newest_twenty_devices_are_pushed_to(plan):
    user = make_user()
    for number in range(22):
        device(user, f"token{number:02}")
    make_messages(1, channel="push", user=user)

    work()

    assert len(Fake.calls) == 20
    assert {("fcm", "token00"), ("fcm", "token01")}.isdisjoint(Fake.calls)


def test_a_stopped_provider_leaves_the_other_devices_alone(plan):
    user = make_user()
    device(user, "phone")
    device(user, "https://push.example/x", kind="webpush")
    (message,) = make_messages(1, channel="push", user=user)
    stop("fcm")

    work()

    message.refresh_from_db()
    assert message.status == "sent"
    assert [provider for provider, _ in Fake.calls] == ["webpush"]


def test_a_message_whose_every_device_is_stopped_waits(plan):
    user = make_user()
    device(user, "phone")
    (message,) = make_messages(1, channel="push", user=user)
    stop("fcm")

    work()

    message.refresh_from_db()
    assert (message.status, message.attempts) == ("pending", 0)
    assert message.history()[-1]["reason"] == "kill_switch:provider:fcm"


def stop(provider):
    KillSwitch.objects.create(
        scope="provider",
        value=provider,
        reason="test",
        actor="test",
        created_at="2030-05-01T12:00:00Z",
    )


@pytest.mark.parametrize(
    ("channel", "kind", "code", "state"),
    [
        ("email", "email", "smtp_550", "bounced"),
        ("sms", "phone", "unsubscribed", "unsubscribed"),
        ("sms", "phone", "twilio_21211", "bounced"),
        ("telegram", "telegram", "blocked", "unsubscribed"),
        ("telegram", "telegram", "unknown_chat", "expired"),
        ("webhook", "webhook", "http_410", "expired"),
    ],
)
def test_a_dead_address_is_closed_with_its_reason(channel, kind, code, state):
    user = make_user(email="")
    ContactPoint.objects.create(user=user, kind=kind, address="there")

    close_contact(channel=channel, user_id=user.pk, address="there", code=code, reason="x: no")

    point = ContactPoint.objects.get(user=user, kind=kind)
    assert (point.state, point.state_reason) == (state, "x: no")


def test_an_address_that_was_changed_meanwhile_stays_open():
    user = make_user(email="")
    ContactPoint.objects.create(user=user, kind="email", address="new@example.com")

    close_contact(
        channel="email", user_id=user.pk, address="old@example.com", code="smtp_550", reason="x"
    )

    assert ContactPoint.objects.get(user=user).state == "active"


def test_a_strangers_dead_address_goes_on_the_suppression_list():
    for _ in range(2):
        close_contact(
            channel="email", user_id=None, address="a@example.com", code="smtp_550", reason="smtp"
        )

    row = Suppression.objects.get(kind="email", address="a@example.com")
    assert (row.reason, row.source) == ("smtp", "provider")


def test_a_retry_keeps_its_place_in_the_queue_of_work(plan, frozen):
    user = make_user()
    device(user, "slow")
    (message,) = make_messages(1, channel="push", user=user)
    plan(slow=[AGAIN])

    work()

    row = NotificationMessage.objects.get(pk=message.pk)
    assert (row.status, row.attempts) == ("pending", 1)
    assert row.scheduled_at > frozen.now
