"""Messages to the simulator's addresses, from the send to the receipt."""

from __future__ import annotations

import asyncio

import pytest

from directory.models import ContactPoint, Device, Suppression
from notifications.delivery.provider_calls import ProviderCalls
from notifications.delivery.vendors.smtp.send import SMTPEmailProvider
from notifications.domain.callers import SYSTEM, Caller
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare
from notifications.engine.runs import deliver_rows, keys_of
from notifications.engine.settlement import settle
from notifications.features.receipts.apply import apply_due
from notifications.models import DeadLetter, DeliveryAttempt, NotificationMessage
from notifications.queue import batches
from notifications.recording.record import record
from notifications.services import NotificationService
from tests.integration.factories import make_template, make_user

pytestmark = pytest.mark.django_db


def unreachable(key):
    async def refuse(self):
        raise AssertionError(f"{key} was opened")

    return type("Unreachable", (SMTPEmailProvider,), {"open": refuse})


def work(now):
    """Dispatches what is due to providers out of reach, and applies receipts."""
    leases = batches.lease(owner="w", lane="default", seconds=60)
    for lease in leases:
        items = prepare(lease.channel, keys_of([lease])).ready
        if items and items[0].provider == "sandbox":
            deliver_rows([lease], owner="w")
            continue
        going = {item.message.id: item for item in journal(items, owner="w")}
        settled = []

        def land(sent, results, going=going, settled=settled):
            for one, result in zip(sent, results, strict=True):
                settled.append(settle(going[one.message_id], result, at=now))

        async def dispatch(items=items, land=land):
            outbound = [item.outbound for item in items]
            calls = ProviderCalls(load=unreachable)
            await calls.send(items[0].provider, outbound, timeout_s=1, on_results=land)

        asyncio.run(dispatch())
        record(settled, owner="w")
    batches.release([lease for lease in leases if lease.open_keys], "w")
    apply_due(now=now)


@pytest.fixture
def send(frozen, override_environment):
    """Sends to an address over real providers that could not be reached, and works four times."""
    override_environment(
        email_provider="smtp",
        sms_provider="twilio",
        telegram_provider="telegram",
        push_provider="fcm",
        fcm_credentials="/none",
    )
    make_template(
        email_body_template="Hello: {{ amount }}",
        sms_template="Hello {{ amount }}",
        telegram_template="Hello {{ amount }}",
        supported_channels=["email", "sms", "push", "telegram"],
    )

    def go(to, *, channel="email", caller=SYSTEM):
        target = {"to": to} if isinstance(to, dict) else {"user_id": to.pk}
        body = {"template_path": "test.hello", "channel": channel, "context": {"amount": 5}}
        answer = NotificationService().send(body=body | target, caller=caller)
        for _ in range(4):
            work(frozen.now)
            frozen.forward(400)
        return NotificationMessage.objects.get(notification__uuid=answer.id, channel=channel)

    return go


@pytest.mark.parametrize(
    ("name", "status", "attempts", "code"),
    [
        ("delivered", "delivered", 1, None),
        ("bounced", "failed", 1, "bounced"),
        ("temporary", "delivered", 2, None),
        ("throttled", "delivered", 2, None),
        ("complained", "delivered", 1, None),
        ("rejected", "failed", 1, "simulated_rejection"),
        ("failing", "failed", 3, "simulated_temporary"),
        ("invalid", "failed", 1, "invalid_recipient"),
        ("unsubscribed", "failed", 1, "unsubscribed"),
        ("sent", "sent", 1, None),
    ],
)
def test_each_address_has_its_outcome(send, name, status, attempts, code):
    message = send(make_user(email=f"{name}@simulator.carillon"))

    assert (message.status, message.attempts) == (status, attempts)
    letter = DeadLetter.objects.filter(message_id=message.pk).first()
    assert (letter.code if letter else None) == code
    assert {row.provider for row in DeliveryAttempt.objects.all()} == {"smtp"}


def test_an_uncertain_message_goes_the_way_of_its_category(send):
    message = send(make_user(email="uncertain@simulator.carillon"))

    assert (message.status, message.attempts) == ("uncertain", 3)  # payment is sent again
    assert DeadLetter.objects.get().code == "uncertain"


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("bounced", "bounced"),
        ("complained", "unsubscribed"),
        ("invalid", "bounced"),
        ("unsubscribed", "unsubscribed"),
        ("delivered", "active"),
        ("rejected", "active"),
    ],
)
def test_a_persons_address_is_closed_as_a_real_one_would_be(send, name, state):
    user = make_user(email=f"{name}@simulator.carillon")
    send(user)
    assert ContactPoint.objects.get(user=user).state == state


def test_an_address_of_nobodys_can_bounce_again_and_again(send):
    for _ in range(2):
        assert send({"email": "bounced@simulator.carillon"}).status == "failed"
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("to", "channel", "status"),
    [
        ({"phone": "+15005550100"}, "sms", "delivered"),
        ({"phone": "+15005550101"}, "sms", "failed"),
        ({"telegram_id": "9990000000000000100"}, "telegram", "delivered"),
        ({"telegram_id": 9990000000000000104}, "telegram", "failed"),
    ],
)
def test_numbers_and_chats_have_outcomes_too(send, to, channel, status):
    assert send(to, channel=channel).status == status


@pytest.mark.parametrize(
    ("token", "status", "expired"),
    [
        ("delivered@simulator.carillon", "delivered", False),
        ("invalid@simulator.carillon", "failed", True),
    ],
)
def test_devices_have_outcomes_too(send, token, status, expired):
    device = Device.objects.create(user=make_user(), token=token)

    message = send(device.user, channel="push")

    device.refresh_from_db()
    assert (message.status, device.expired_at is not None) == (status, expired)


@pytest.mark.parametrize(("name", "status"), [("delivered", "delivered"), ("bounced", "failed")])
def test_a_test_key_meets_the_simulator_in_the_sandbox(send, name, status):
    scopes = frozenset({"notifications:send", "notifications:address"})
    caller = Caller(name="key:1", is_service=True, is_test=True, scopes=scopes)

    message = send({"email": f"{name}@simulator.carillon"}, caller=caller)

    assert (message.provider, message.status) == ("sandbox", status)


def test_no_one_may_call_in_the_simulators_name(client):
    response = client.post("/api/v1/callbacks/simulator", b"{}", content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (403, "bad_signature")
