"""`delivery: first`: channel by channel in their order, until one takes it."""

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
    """One pass over what is due; answers by channel (sent, where none is given). Returns the
    channels that were at work."""
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


def told(person: int) -> dict[str, str]:
    rows = NotificationMessage.objects.filter(user_id=person).order_by("pk")
    return dict(rows.values_list("channel", "status"))


def test_the_first_channel_alone_is_asked_first():
    (person,) = reachable(1)
    made = launched()
    assert told(person) == {"email": "pending"}
    assert work() == ["email"]
    assert (told(person), work()) == ({"email": "sent"}, [])
    assert states(maintain(made)) == {"sent": 1}


def test_a_failure_leads_to_the_next_and_the_recipient_stays_pending_meanwhile():
    (person,) = reachable(1)
    made = launched()
    work(email=GONE)
    assert told(person) == {"email": "failed", "telegram": "pending"}
    assert states(maintain(made)) == {"pending": 1}
    assert made.tally.failed == 0
    work(telegram=GONE)
    work()
    assert told(person) == {"email": "failed", "telegram": "failed", "in_app": "delivered"}
    assert states(maintain(made)) == {"sent": 1}
    assert made.status == "completed"


def test_whoever_has_no_address_on_a_channel_is_asked_on_the_next():
    (person,) = make_people(1)
    made = launched(channels=["telegram", "in_app"])
    work()
    assert told(person) == {"telegram": "suppressed", "in_app": "pending"}
    work()
    assert states(maintain(made)) == {"sent": 1}


def test_what_may_have_arrived_is_not_sent_on_another_channel():
    Category.objects.filter(key="announcement").update(crash_policy="hold")
    (person,) = reachable(1)
    made = launched()
    work(email=DOUBT)
    assert (told(person), work()) == ({"email": "uncertain"}, [])
    assert states(maintain(made)) == {"uncertain": 1}


def test_it_failed_if_all_of_them_did_and_a_retry_begins_with_the_first_again():
    (person,) = reachable(1)
    made = launched(channels=["email", "telegram"])
    work(email=GONE)
    work(telegram=GONE)
    assert maintain(made).status == "failed"

    assert actions.retry(made.pk, now=clock.now()) == 1
    maintain(made)

    assert told(person) == {"email": "pending", "telegram": "failed"}
    assert work(email=GONE) == ["email"]
    assert told(person) == {"email": "failed", "telegram": "pending"}
    assert states(maintain(made)) == {"pending": 1}
    work()
    assert states(maintain(made)) == {"sent": 1}
    assert NotificationMessage.objects.count() == 2


def test_a_receipt_that_says_it_failed_leads_on_too_but_not_once_it_is_cancelled():
    one, two = reachable(2)
    made = launched(channels=["email", "in_app"])
    work()
    maintain(made)
    bounced(one)
    assert told(one) == {"email": "failed", "in_app": "pending"}
    assert DeliveryBatch.objects.get().lane == "bulk"
    Broadcast.objects.filter(pk=made.pk).update(status="cancelled")
    bounced(two)
    assert told(two) == {"email": "failed"}


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
