"""`delivery: first` uses the channels in their order until one accepts the message."""

from __future__ import annotations

import pytest

from directory.models import ContactPoint, User
from notifications.domain.messages import SendResult, Verdict
from notifications.domain.receipts import Receipt, ReceiptKind
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare
from notifications.engine.runs import deliver_rows, keys_of
from notifications.engine.settlement import settle
from notifications.features.broadcasts import actions
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    Category,
    DeliveryBatch,
    Notification,
    NotificationMessage,
)
from notifications.queue import batches
from notifications.recording.receipts import apply_receipt
from notifications.recording.record import record
from tests.integration.broadcasts.factories import (
    launch,
    maintain,
    make_broadcast,
    make_people,
    states,
)

pytestmark = pytest.mark.django_db
GONE = SendResult(Verdict.FAILED, error_code="http_410", error="gone")
DOUBT = SendResult(Verdict.UNCERTAIN, error_code="timeout")
SENT = SendResult(Verdict.SENT, provider_message_id="v1")


@pytest.fixture(autouse=True)
def _real_providers(override_environment, frozen):
    override_environment(
        email_provider="smtp", telegram_provider="telegram", rate_limits=("smtp=off",)
    )


def work(**answers: SendResult) -> list[str]:
    """Delivers what is due once, with the given result by channel (default: sent).

    Returns the channels that sent.
    """
    leases = batches.lease(owner="w", lane="bulk", seconds=60)
    channels = sorted({held.channel for held in leases})
    for channel in channels:
        group = [held for held in leases if held.channel == channel]
        if channel == "in_app":
            deliver_rows(group, owner="w")
            continue
        made = prepare(channel, keys_of(group))
        record(made.outcomes, owner="w")
        going = journal(made.ready, owner="w")
        result = answers.get(channel, SENT)
        record([settle(item, result, at=clock.now()) for item in going], owner="w")
    return channels


def reachable(count: int) -> list[int]:
    people = make_people(count)
    for person in people:
        user = User.objects.get(pk=person)
        ContactPoint.objects.create(user=user, kind="email", address=user.email)
        ContactPoint.objects.create(user=user, kind="telegram", address=f"4479460{person:05}")
    return people


def launched(**values: object) -> Broadcast:
    values.setdefault("channels", ["email", "telegram", "in_app"])
    return launch(make_broadcast(delivery="first", **values))


def statuses(person: int) -> dict[str, str]:
    rows = NotificationMessage.objects.filter(user_id=person).order_by("pk")
    return dict(rows.values_list("channel", "status"))


def test_only_the_first_channel_is_used_first():
    (person,) = reachable(1)
    made = launched()
    assert statuses(person) == {"email": "pending"}
    assert work() == ["email"]
    assert (statuses(person), work()) == ({"email": "sent"}, [])
    assert states(maintain(made)) == {"sent": 1}


def test_after_a_failure_the_next_channel_is_used_and_the_recipient_is_pending():
    (person,) = reachable(1)
    made = launched()
    work(email=GONE)
    assert statuses(person) == {"email": "failed", "telegram": "pending"}
    assert states(maintain(made)) == {"pending": 1}
    assert made.tally.failed == 0
    work(telegram=GONE)
    work()
    assert statuses(person) == {"email": "failed", "telegram": "failed", "in_app": "delivered"}
    assert states(maintain(made)) == {"sent": 1}
    assert made.status == "completed"


def test_a_recipient_without_an_address_gets_the_next_channel():
    (person,) = make_people(1)
    made = launched(channels=["telegram", "in_app"])
    work()
    assert statuses(person) == {"telegram": "suppressed", "in_app": "pending"}
    work()
    assert states(maintain(made)) == {"sent": 1}


def test_an_uncertain_message_is_not_sent_on_another_channel():
    Category.objects.filter(key="announcement").update(crash_policy="hold")
    (person,) = reachable(1)
    made = launched()
    work(email=DOUBT)
    assert (statuses(person), work()) == ({"email": "uncertain"}, [])
    assert states(maintain(made)) == {"uncertain": 1}


def test_a_recipient_fails_after_all_channels_and_a_retry_begins_with_the_first():
    (person,) = reachable(1)
    made = launched(channels=["email", "telegram"])
    work(email=GONE)
    work(telegram=GONE)
    assert maintain(made).status == "failed"

    assert actions.retry(made.pk, now=clock.now()) == 1
    maintain(made)

    assert statuses(person) == {"email": "pending", "telegram": "failed"}
    assert work(email=GONE) == ["email"]
    assert statuses(person) == {"email": "failed", "telegram": "pending"}
    assert states(maintain(made)) == {"pending": 1}
    work()
    assert states(maintain(made)) == {"sent": 1}
    assert NotificationMessage.objects.count() == 2


def test_a_failure_receipt_leads_to_the_next_channel_unless_cancelled():
    one, two = reachable(2)
    made = launched(channels=["email", "in_app"])
    work()
    maintain(made)
    bounced(one)
    assert statuses(one) == {"email": "failed", "in_app": "pending"}
    assert DeliveryBatch.objects.get().lane == "bulk"
    Broadcast.objects.filter(pk=made.pk).update(status="cancelled")
    bounced(two)
    assert statuses(two) == {"email": "failed"}


def bounced(person: int) -> None:
    found = NotificationMessage.objects.get(user_id=person, channel="email")
    uuid = Notification.objects.get(pk=found.notification_id).uuid
    receipt = Receipt(
        kind=ReceiptKind.BOUNCED,
        reference=f"{uuid.hex}.email",
        provider_message_id="v1",
        code="550",
    )
    apply_receipt(receipt, provider="smtp", now=clock.now())
