"""A round reaches all rows, also behind many rows that do not change."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db import DataError

from notifications.domain import counts
from notifications.domain.lifecycle import MessageStatus
from notifications.features.background.items import Items, Rotation
from notifications.features.broadcasts.delivery import (
    clearing as broadcast_clearing,
)
from notifications.features.broadcasts.delivery import (
    retry as broadcast_retry,
)
from notifications.features.broadcasts.delivery import rounds, upkeep
from notifications.features.broadcasts.delivery.fold import fold_changes
from notifications.features.receipts import poll
from notifications.models import (
    Broadcast,
    DeadLetter,
    DeliveryBatch,
    ItemFault,
    NotificationMessage,
    Work,
)
from notifications.models.fields import one_more
from notifications.queue import batches, takeover
from tests.integration.broadcasts.factories import (
    launch,
    make_broadcast,
    make_people,
    settle_messages,
)
from tests.integration.factories import make_messages
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def few(frozen, monkeypatch):
    """Rounds read two rows at once."""
    for module, name in (
        (rounds, "_launching"),
        (broadcast_retry, "_requeueing"),
        (broadcast_clearing, "_clearing"),
        (upkeep, "_finishing"),
        (upkeep, "_checking"),
    ):
        monkeypatch.setattr(module, name, Rotation(2))
    monkeypatch.setattr(takeover, "_AT_ONCE", 2)
    monkeypatch.setattr(poll, "_AT_ONCE", 1)


def test_rotation_reaches_every_row_and_restarts(frozen):
    keys = _rows(frozen, 5)
    turn = Rotation(2)

    seen = [turn.next(ItemFault.objects.all()) for _ in range(4)]

    assert seen == [keys[:2], keys[2:4], [keys[4], keys[0]], keys[1:3]]


def test_few_rows_are_all_read_in_every_round(frozen):
    keys = _rows(frozen, 2)
    turn = Rotation(3)

    assert [turn.next(ItemFault.objects.all()) for _ in range(3)] == [keys] * 3


def test_rotation_continues_where_rows_were_deleted(frozen):
    keys = _rows(frozen, 4)
    turn = Rotation(2)
    turn.next(ItemFault.objects.all())
    ItemFault.objects.filter(pk__in=keys[1:]).delete()

    assert turn.next(ItemFault.objects.all()) == keys[:1]


def test_everything_behind_a_failing_item_is_processed(frozen):
    keys = _rows(frozen, 7)
    done: list[int] = []

    def do(some: list[int]) -> int:
        if keys[0] in some or keys[1] in some:
            raise ValueError
        done.extend(some)
        return ItemFault.objects.filter(pk__in=some).delete()[0]

    rows = ItemFault.objects.filter(pk__in=keys).order_by("pk")
    total = Items(Work.STUCK, now=frozen.now).drain(rows, do, at_once=2, rounds=100)

    assert (total, sorted(done)) == (5, keys[2:])


def test_items_of_other_processes_end_the_drain(frozen):
    _rows(frozen, 5)
    calls: list[int] = []

    def left(some: list[int]) -> int:
        calls.append(len(some))
        return 0

    assert (
        Items(Work.STUCK, now=frozen.now).drain(
            ItemFault.objects.order_by("pk"), left, at_once=2, rounds=100
        )
        == 0
    )
    assert calls == [2]


@pytest.mark.parametrize("kind", ["settle", "check", "clear", "requeue", "launch"])
def test_the_last_of_many_broadcasts_is_processed(kind, frozen):
    """The broadcasts before it wait: their messages are queued or in flight."""
    make_people(1)
    made = [launch(make_broadcast(title=str(number))) for number in range(6)]
    last = Broadcast.objects.filter(pk=made[-1].pk)
    people = list(made[-1].recipients.values_list("recipient_id", flat=True))
    settle_messages(made[-1], MessageStatus.DELIVERED, people)
    if kind == "settle":
        fold_changes(now=frozen.now)
    elif kind == "check":
        last.update(failed_count=7)
    elif kind == "clear":
        Broadcast.objects.update(status="cancelled", cleared=False)
        batches.lease(owner="w", lane="bulk", seconds=60)
    elif kind == "requeue":
        Broadcast.objects.update(requeue_done=False)
    else:
        Broadcast.objects.update(messaged_done=False)
    frozen.forward(10)

    for _ in range(3):
        now = frozen.now
        if kind == "check":
            upkeep.check_counts(now=now)
        elif kind == "settle":
            upkeep.finish_all(now=now)
        else:
            upkeep.maintain_broadcasts(now=now)

    row = last.get()
    assert {
        "settle": row.status in ("sent", "completed"),
        "check": row.failed_count == 0,
        "clear": row.cleared,
        "requeue": row.requeue_done,
        "launch": row.messaged_done,
    }[kind]


def test_a_sweep_continues_behind_batches_that_it_cannot_take_over(frozen):
    for _ in range(5):
        make_messages(1)
    leased = batches.lease(owner="w", lane="default", seconds=10)
    broken = [lease.batch_id for lease in leased[:4]]
    DeliveryBatch.objects.filter(pk__in=broken).update(members="x-y")
    frozen.forward(11)

    report = takeover.sweep(everywhere=True)

    assert (report.batches, report.failed) == (1, 4)


def test_dead_letters_whose_next_query_is_later_do_not_block_the_others(
    frozen, override_environment
):
    """Dead letters of a provider without status queries do not block the others either."""
    override_environment(
        sms_provider="twilio",
        twilio_account_sid="AC" + "0" * 32,
        twilio_auth_token="t",
        twilio_from="+15005550006",
        twilio_base_url="http://127.0.0.1:9",
    )
    dead_letters = [_dead_letter(frozen, "twilio", asked=1) for _ in range(4)]
    dead_letters += [_dead_letter(frozen, "console_sms") for _ in range(4)]
    frozen.forward(1)
    due = _dead_letter(frozen, "twilio")
    frozen.forward(poll.POLL_AFTER[0].total_seconds())

    poll.poll_due(now=frozen.now)

    asked = dict(DeadLetter.objects.values_list("pk", "asked"))
    assert asked[due.pk] == 1
    assert [asked[dead_letter.pk] for dead_letter in dead_letters] == [1] * 4 + [0] * 4


def _dead_letter(frozen, provider, asked=0):
    (message,) = make_messages(1, channel="sms", in_batch=False)
    NotificationMessage.objects.filter(pk=message.pk).update(status="uncertain")
    return DeadLetter.objects.create(
        message_id=message.pk,
        notification_id=message.notification_id,
        channel="sms",
        provider=provider,
        code="uncertain",
        asked=asked,
        failed_at=frozen.now,
    )


def _rows(frozen, count):
    now = frozen.now
    times = {"failed_at": now, "next_at": now + timedelta(hours=1)}
    made = [
        ItemFault.objects.create(
            work=Work.DIGEST, item=number, tries=1, error="x", trace="y", **times
        )
        for number in range(count)
    ]
    return [row.pk for row in made]


def test_an_item_whose_failure_cannot_be_recorded_does_not_block_the_others(frozen):
    def failed(item: int, fault: ItemFault) -> None:
        raise DataError("smallint out of range")

    def do(item: int) -> int:
        if item == 1:
            raise ValueError
        return 1

    items = Items(Work.STUCK, now=frozen.now, failed=failed)

    assert [items.run_one(key, partial(do, key), default=0) for key in (1, 2)] == [0, 1]
    assert ItemFault.objects.get().item == 1


@pytest.mark.parametrize("start", [0, 32_766, 32_767])
def test_a_counter_stays_at_the_end_of_its_column(start):
    (message,) = make_messages(1)
    rows = NotificationMessage.objects.filter(pk=message.pk)
    rows.update(attempts=start)

    rows.update(attempts=one_more("attempts"))

    assert rows.get().attempts == min(start + 1, 32_767) == counts.one_more(start)


def test_a_message_of_many_attempts_is_recorded(frozen):
    (message,) = make_messages(1)
    rows = NotificationMessage.objects.filter(pk=message.pk)
    rows.update(attempts=32_767)

    work()

    assert (rows.get().status, rows.get().attempts) == ("sent", 32_767)
