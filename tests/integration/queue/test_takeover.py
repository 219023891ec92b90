"""What a dead worker leaves behind: rule by rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.domain.channels import Lane
from notifications.infra import clock
from notifications.models import DeadLetter, DeliveryBatch, NotificationMessage
from notifications.queue import batches, takeover
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db
NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def time():
    moving = Clock()
    with clock.reading(moving):
        yield moving


def die_with(time: Clock, keys: list[int], *, isolated: bool = False) -> None:
    """A worker leases, journals these keys and dies; its lease runs out."""
    (held,) = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10, isolated=isolated)
    for key in keys:
        assert batches.journal_one(held, key, "w")
    time.forward(11)


def statuses(messages) -> list[str]:
    keys = [message.pk for message in messages]
    return list(
        NotificationMessage.objects.filter(pk__in=keys)
        .order_by("pk")
        .values_list("status", flat=True)
    )


def test_messages_in_no_journal_were_surely_not_sent_and_wait_again(time):
    messages = make_messages(3)
    die_with(time, [])

    report = takeover.sweep(everywhere=True)

    assert (report.batches, report.uncertain) == (1, 0)
    assert statuses(messages) == ["pending"] * 3
    (again,) = batches.lease(owner="v", lane=Lane.DEFAULT, seconds=10)
    assert (again.size, again.takeovers) == (3, 1)


def test_a_living_worker_is_left_alone(time):
    make_messages(1)
    batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10)

    assert takeover.sweep(everywhere=True).batches == 0


def test_a_journalled_message_is_uncertain_and_resent_by_policy_as_an_attempt(time):
    messages = make_messages(2)
    die_with(time, [messages[0].pk])

    report = takeover.sweep(everywhere=True)

    assert (report.uncertain, report.resent) == (1, 1)
    doubtful = NotificationMessage.objects.get(pk=messages[0].pk)
    assert (doubtful.status, doubtful.attempts) == ("pending", 1)
    assert doubtful.batch_id != messages[0].batch_id
    events = [(entry["event"], entry["reason"]) for entry in doubtful.history()]
    assert events == [("uncertain", "worker_died"), ("pending", "resent_by_crash_policy")]


def test_a_category_that_holds_leaves_the_doubt_to_a_person(time):
    (message,) = make_messages(1, category="marketing")
    die_with(time, [message.pk])

    assert takeover.sweep(everywhere=True).held == 1

    assert statuses([message]) == ["uncertain"]
    letter = DeadLetter.objects.get(message_id=message.pk)
    assert (letter.code, letter.attempts) == ("uncertain", 1)
    assert not DeliveryBatch.objects.exists()


def test_a_doubtful_message_without_attempts_left_is_held(time):
    (message,) = make_messages(1, attempts=2)
    die_with(time, [message.pk])

    takeover.sweep(everywhere=True)

    assert statuses([message]) == ["uncertain"]
    assert DeadLetter.objects.get().code == "uncertain"


def test_a_row_channel_is_never_uncertain(time):
    (message,) = make_messages(1, channel="in_app")
    die_with(time, [message.pk])

    assert takeover.sweep(everywhere=True).uncertain == 0

    assert statuses([message]) == ["pending"]
    assert NotificationMessage.objects.get(pk=message.pk).attempts == 0


def test_a_message_that_kills_its_worker_is_isolated_at_the_second_and_dead_at_the_third(time):
    (message,) = make_messages(1, max_attempts=9)
    die_with(time, [message.pk])
    takeover.sweep(everywhere=True)
    die_with(time, [message.pk])
    takeover.sweep(everywhere=True)
    assert DeliveryBatch.objects.get().isolated
    die_with(time, [message.pk], isolated=True)

    assert takeover.sweep(everywhere=True).poison == 1

    assert statuses([message]) == ["failed"]
    assert DeadLetter.objects.get().code == "poison"
    assert not DeliveryBatch.objects.exists()


def test_a_batch_that_two_workers_died_on_is_handled_with_care(time):
    make_messages(2)
    die_with(time, [])
    takeover.sweep(everywhere=True)
    die_with(time, [])
    takeover.sweep(everywhere=True)

    (held,) = batches.lease(owner="v", lane=Lane.DEFAULT, seconds=10)

    assert held.careful


def test_settled_members_of_a_dead_batch_are_not_touched(time):
    done, waiting = make_messages(2)
    NotificationMessage.objects.filter(pk=done.pk).update(status="sent")
    die_with(time, [done.pk])

    assert takeover.sweep(everywhere=True).uncertain == 0

    assert statuses([done, waiting]) == ["sent", "pending"]


def test_a_supervisor_that_saw_a_worker_die_ends_its_leases_at_once(time):
    make_messages(1)
    batches.lease(owner="w", lane=Lane.DEFAULT, seconds=3600)

    takeover.expire_owner("w")

    assert takeover.sweep(everywhere=True).batches == 1
