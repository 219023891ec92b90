"""Two processes that write to one inbox at the same moment: on PostgreSQL, with real threads."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from directory.models import User
from notifications.features.inbox.actions import act, append_change, locked_counter
from notifications.features.retention.rows import InboxArrivals
from notifications.features.retention.walks import RoundPlan
from notifications.infra import clock
from notifications.models import ChangeKind, InboxCounter, InboxEpoch
from notifications.models.inbox import epoch
from notifications.models.inbox.hot import NewArrival, insert_arrivals
from tests.integration.factories import make_messages, make_user
from tests.integration.inbox.conftest import arrivals_of
from tests.integration.races import PATIENCE_S, Other, other, wait_until_blocked_or_done

__all__ = ["other"]
BEAT = 7
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer"),
]


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has a number that the main database has not."""
    monkeypatch.setattr(epoch._Raised, "at", float("inf"))
    monkeypatch.setattr(epoch._Raised, "beat", BEAT)
    monkeypatch.setattr(epoch._Raised, "copied", 0)


def new_arrivals(user: User, count: int) -> list[NewArrival]:
    return [
        NewArrival(
            message.notification_id,
            message.notification.uuid.hex,
            user.pk,
            message.notification.category_id,
            3,
            None,
            clock.now(),
        )
        for message in make_messages(count, channel="in_app", user=user, in_batch=False)
    ]


def note(user: User) -> None:
    """An event of a person."""
    with locked_counter(user.pk) as counter:
        append_change(counter, ChangeKind.PREFERENCES, {}, at=clock.now())


@pytest.mark.parametrize("more", [0, 1], ids=["nothing else", "and another arrival"])
def test_an_arrival_that_two_processes_make_counts_once(
    person: User, other: Other, more: int
) -> None:
    """Both record a message of one notification, on in_app and on websocket."""
    rows = new_arrivals(person, 1 + more)
    with transaction.atomic():
        assert insert_arrivals(rows[:1]) == {person.pk}
        work = other.start(lambda: insert_arrivals(rows))
        wait_until_blocked_or_done(work)
    assert work.result(PATIENCE_S) == ({person.pk} if more else set())
    assert [row.pk for row in arrivals_of(person)] == [row.id for row in rows]
    counter = InboxCounter.objects.get(user_id=person.pk)
    assert counter.unread == len(rows)
    assert counter.seq >= arrivals_of(person)[more].seq


def test_only_people_with_a_doubled_arrival_are_counted_again(person: User, other: Other) -> None:
    neighbour = make_user()
    rows, theirs = new_arrivals(person, 1), new_arrivals(neighbour, 1)
    InboxCounter.objects.create(user_id=neighbour.pk, unread=5)
    with transaction.atomic():
        insert_arrivals(rows)
        work = other.start(lambda: insert_arrivals([*rows, *theirs]))
        wait_until_blocked_or_done(work)
    assert work.result(PATIENCE_S) == {neighbour.pk}
    unread = dict(InboxCounter.objects.values_list("user_id", "unread"))
    assert unread == {person.pk: 1, neighbour.pk: 6}


@pytest.mark.usefixtures("raised")
def test_an_action_and_a_record_wait_for_each_other_in_no_circle(
    person: User, other: Other
) -> None:
    """A record copies the number and then waits for a counter. The action has that counter."""
    rows = new_arrivals(person, 1)

    def record() -> set[int]:
        InboxEpoch.objects.copy_beat()
        return insert_arrivals(rows)

    with locked_counter(person.pk) as counter:
        work = other.start(record)
        wait_until_blocked_or_done(work)
        append_change(counter, ChangeKind.PREFERENCES, {}, at=clock.now())
    assert work.result(PATIENCE_S) == {person.pk}
    assert InboxEpoch.objects.get().beat == BEAT


@pytest.mark.usefixtures("raised")
def test_no_event_waits_for_the_epoch(person: User, other: Other) -> None:
    """The number stays for the next event, and is copied with it."""
    InboxEpoch.objects.update(beat=0)
    with transaction.atomic():
        InboxEpoch.objects.select_for_update().get()
        work = other.start(lambda: note(person))
        wait_until_blocked_or_done(work)
        assert work.done(), "the event waits"
    assert InboxEpoch.objects.get().beat == 0
    assert epoch._Raised.copied == 0
    note(person)
    assert InboxEpoch.objects.get().beat == BEAT
    assert epoch._Raised.copied == BEAT


def test_an_old_arrival_that_is_marked_unread_while_it_is_deleted_counts_no_more(
    person: User, other: Other
) -> None:
    rows = new_arrivals(person, 2)
    with transaction.atomic():
        insert_arrivals(rows)
    keys = [row.id for row in rows]
    act(person.pk, keys, ChangeKind.READ)

    def delete() -> None:
        InboxArrivals().apply(keys, RoundPlan(clock.now(), {}), len(keys))

    with transaction.atomic():
        assert act(person.pk, keys[:1], ChangeKind.UNREAD).unread == 1
        work = other.start(delete)
        wait_until_blocked_or_done(work)
    work.result(PATIENCE_S)
    assert not arrivals_of(person)
    assert InboxCounter.objects.get(user_id=person.pk).unread == 0
