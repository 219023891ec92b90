"""Launching a broadcast: the snapshot and the messages, also when a process dies in between."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from directory.models import Group, GroupMembership, User
from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.errors import Conflict, InvalidRequest, NotFound
from notifications.engine.runs import deliver_rows
from notifications.features.broadcasts.delivery import launch as launching
from notifications.features.broadcasts.delivery.rounds import continue_launches
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    DeliveryBatch,
    Job,
    Notification,
    NotificationMessage,
    change_broadcast_status,
)
from notifications.queue import batches
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


def make_broadcast(**values: Any) -> Broadcast:
    values.setdefault("target_group", "all_students")
    values.setdefault("title", "School is closed")
    values.setdefault("message", "Snow everywhere")
    values.setdefault("channels", ["in_app"])
    return Broadcast.objects.create(**values)


def make_people(count: int) -> list[int]:
    made = User.objects.bulk_create(
        [User(username=f"s{number}", role="student", password="!") for number in range(count)]
    )
    return [user.pk for user in made]


def launch(broadcast: Broadcast) -> Broadcast:
    launching.begin(broadcast.pk, now=clock.now())
    assert launching.continue_launch(broadcast.pk)
    broadcast.refresh_from_db()
    return broadcast


def notified(broadcast: Broadcast) -> list[int]:
    """Returns the users who have messages, each once for every notification."""
    rows = Notification.objects.filter(source=broadcast.source)
    return sorted(rows.values_list("user_id", flat=True))


def recipients(broadcast: Broadcast) -> list[int]:
    rows = BroadcastRecipient.objects.filter(broadcast=broadcast)
    return sorted(rows.values_list("recipient_id", flat=True))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "SNAPSHOT_BATCH", 5)
    monkeypatch.setattr(launching, "MESSAGE_BATCH", 3)


class TestLaunching:
    def test_the_audience_becomes_recipients_and_messages(self):
        people = make_people(12)
        make_user(role="teacher")

        made = launch(make_broadcast(channels=["in_app", "email"], priority=3))

        assert (made.status, made.recipient_count) == ("sending", 12)
        assert (made.snapshot_done, made.messaged_done) == (True, True)
        assert recipients(made) == notified(made) == people
        messages = NotificationMessage.objects.filter(notification__source=made.source)
        assert messages.filter(channel="in_app").count() == 12
        assert messages.filter(channel="email").count() == 12
        assert {batch.lane for batch in DeliveryBatch.objects.all()} == {"bulk"}
        assert {batch.source for batch in DeliveryBatch.objects.all()} == {made.source}
        job = Job.objects.get(broadcast=made)
        assert (job.kind, job.total, job.accepted) == ("broadcast", 12, 12)

    def test_a_recipient_row_names_its_notification(self):
        make_people(3)
        made = launch(make_broadcast())
        keys = BroadcastRecipient.objects.values_list("recipient_id", "notification_id")
        notified = Notification.objects.values_list("user_id", "pk")
        assert sorted(keys) == sorted(notified)
        assert {n.type for n in Notification.objects.all()} == {made.category}

    def test_the_text_is_stored_once_and_shown_to_all(self):
        make_people(2)
        launch(make_broadcast())
        assert {n.text for n in Notification.objects.all()} == {None}
        leases = batches.lease(owner="w", lane="bulk", seconds=60)
        deliver_rows(leases, owner="w")
        shown = [(m.status, m.title, m.body) for m in NotificationMessage.objects.all()]
        assert shown == [("delivered", "School is closed", "Snow everywhere")] * 2

    def test_urgent_broadcasts_do_not_use_the_bulk_lane(self):
        make_people(1)
        launch(make_broadcast(priority=2))
        assert DeliveryBatch.objects.get().lane == "high"

    def test_several_groups_are_combined(self):
        students, tutor = make_people(2), make_user(role="tutor").pk
        rule = {"any": [{"rule": "all_tutors"}, {"rule": "custom", "user_ids": students[:1]}]}
        made = launch(make_broadcast(target_group="composed", target_filter=rule))
        assert notified(made) == sorted([students[0], tutor])

    def test_recipients_who_were_created_before_are_notified_once(self):
        people = make_people(4)
        made = make_broadcast()
        BroadcastRecipient.objects.create(broadcast=made, recipient_id=people[1])
        launch(made)
        assert made.recipient_count == 4
        assert notified(made) == recipients(made) == people
        assert not BroadcastRecipient.objects.filter(notification_id=None).exists()

    def test_relative_dates_count_from_the_launch_even_if_it_resumes_late(self, frozen):
        present = make_user(last_login=frozen.now - timedelta(days=10)).pk
        criteria = {"field": "last_login", "op": "gte", "value": {"days_ago": 10}}
        made = make_broadcast(target_group="segment", target_filter={"criteria": criteria})
        launching.begin(made.pk, now=frozen.now)
        frozen.forward(3_600)
        assert launching.continue_launch(made.pk)
        assert notified(made) == [present]

    def test_the_number_of_statements_grows_by_batches_and_not_by_people(self):
        make_people(2_500)
        made = make_broadcast()
        launching.begin(made.pk, now=clock.now())
        with CaptureQueriesContext(connection) as queries:
            launching.write_snapshot(made.pk)
        assert len(queries) < 60
        with CaptureQueriesContext(connection) as queries:
            launching.create_messages(made.pk)
        assert len(queries) < 120
        assert len(notified(made)) == 2_500


class TestRefusals:
    def refused(self, **values: Any) -> list[tuple[str, str]]:
        made = make_broadcast(**values)
        with pytest.raises(InvalidRequest) as caught:
            launching.begin(made.pk, now=clock.now())
        made.refresh_from_db()
        assert (made.status, made.job) == ("draft", None)
        return [(error.path, error.code) for error in caught.value.errors]

    def test_a_launch_without_recipients_is_refused_at_once(self):
        make_user(role="teacher")
        assert self.refused() == [("target_group", "no_recipients")]

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ({"target_group": "by_subject"}, [("target_filter.subject_id", "required")]),
            ({"target_group": "group", "target_filter": {"group_id": 9}},
             [("target_filter.group_id", "unknown_group")]),
            ({"target_group": "composed"}, [("target_filter", "invalid")]),
            ({"target_group": "unknown"}, [("target_group", "unknown_rule")]),
            ({"channels": []}, [("channels", "invalid_channel")]),
            ({"channels": "email"}, [("channels", "invalid_channel")]),
            ({"message": " "}, [("message", "invalid")]),
            ({"message": "x" * 1_001}, [("message", "invalid")]),
            ({"priority": 5}, [("priority", "invalid_priority")]),
            ({"channels": ["fax"], "category": "x"},
             [("channels", "invalid_channel"), ("category", "unknown_category")]),
            ({"channels": ["email", "email"]}, [("channels", "duplicate_channel")]),
            ({"delivery": "some"}, [("delivery", "invalid")]),
        ],
    )  # fmt: skip
    def test_a_launch_that_would_fail_is_refused_first(self, values, expected):
        make_people(1)
        assert self.refused(**values) == expected

    @pytest.mark.parametrize("status", set(BroadcastStatus) - launching.EDITABLE)
    def test_a_broadcast_starts_once(self, status):
        make_people(1)
        made = make_broadcast(status=status.value)
        with pytest.raises(Conflict) as caught:
            launching.begin(made.pk, now=clock.now())
        assert caught.value.code == "broadcast_status"
        assert str(caught.value) == f"Cannot send broadcast with status {status}"
        assert not Job.objects.exists()

    def test_an_unknown_broadcast_is_not_found(self):
        with pytest.raises(NotFound) as caught:
            launching.begin(99_999, now=clock.now())
        assert (caught.value.code, str(caught.value)) == (
            "unknown_broadcast",
            "Broadcast 99999 not found",
        )


class Death(Exception):
    """The process ends here."""


@pytest.mark.usefixtures("small_parts")
class TestDyingAndGoingOn:
    @pytest.mark.parametrize("after", range(8))
    @pytest.mark.parametrize("place", ["insert_recipients", "accept", "_store_position"])
    def test_a_launch_that_dies_at_any_point_resumes_and_notifies_everyone_once(
        self, place, after, monkeypatch
    ):
        """Dies right after the statements of a batch, before its commit."""
        people = make_people(17)
        made = make_broadcast(channels=["in_app", "email"])
        launching.begin(made.pk, now=clock.now())
        real, calls = getattr(launching, place), []

        def dying(*arguments: Any, **named: Any) -> Any:
            calls.append(place)
            response = real(*arguments, **named)
            if len(calls) == after + 1:
                raise Death
            return response

        monkeypatch.setattr(launching, place, dying)
        died = 0
        while True:
            try:
                if launching.continue_launch(made.pk):
                    break
            except Death:
                died += 1
        assert died <= 1
        made.refresh_from_db()
        assert recipients(made) == notified(made) == people
        assert made.recipient_count == 17
        assert Job.objects.get().accepted == 17
        assert NotificationMessage.objects.count() == 34
        assert sum(DeliveryBatch.objects.values_list("size", flat=True)) == 34

    def test_a_launch_that_reaches_its_time_limit_resumes_in_the_next_round(self):
        people = make_people(20)
        made = make_broadcast()
        launching.begin(made.pk, now=clock.now())
        rounds = 1
        while not launching.continue_launch(made.pk, until=0.0):
            rounds += 1
        assert rounds > 5
        assert notified(made) == recipients(made) == people

    def test_a_pause_stops_the_launch_and_a_resume_continues_it(self, monkeypatch):
        people = make_people(20)
        made = make_broadcast()
        launching.begin(made.pk, now=clock.now())
        assert launching.write_snapshot(made.pk)
        real = launching.accept

        def pausing(*arguments: Any, **named: Any) -> Any:
            change_broadcast_status(made.pk, BroadcastStatus.PAUSED)
            return real(*arguments, **named)

        monkeypatch.setattr(launching, "accept", pausing)
        assert not launching.continue_launch(made.pk)
        assert len(notified(made)) == 3
        monkeypatch.setattr(launching, "accept", real)
        assert not launching.continue_launch(made.pk)
        assert len(notified(made)) == 3
        change_broadcast_status(made.pk, BroadcastStatus.SENDING)
        assert launching.continue_launch(made.pk)
        assert notified(made) == people

    def test_a_cancelled_launch_writes_nothing_more(self):
        make_people(20)
        made = make_broadcast()
        launching.begin(made.pk, now=clock.now())
        change_broadcast_status(made.pk, BroadcastStatus.CANCELLED)
        assert not launching.continue_launch(made.pk)
        assert (recipients(made), notified(made)) == ([], [])

    def test_idle_launches_are_resumed_and_running_ones_are_left_alone(self, frozen):
        people = make_people(4)
        idle, busy, dead = (make_broadcast() for _ in range(3))
        for made in (idle, busy, dead):
            launching.begin(made.pk, now=frozen.now)
        rows = Broadcast.objects
        rows.filter(pk=busy.pk).update(launch_moved_at=frozen.now - timedelta(seconds=1))
        rows.filter(pk=dead.pk).update(launch_moved_at=frozen.now - timedelta(seconds=3))

        assert continue_launches(now=frozen.now) == 2

        assert notified(idle) == notified(dead) == people
        assert notified(busy) == []
        frozen.forward(6)
        assert continue_launches(now=frozen.now) == 1
        assert continue_launches(now=frozen.now) == 0

    def test_a_launch_whose_group_was_deleted_is_paused_with_the_reason(self, frozen):
        group = Group.objects.create(name="Class 7")
        GroupMembership.objects.create(group=group, user=make_user())
        made = make_broadcast(target_group="group", target_filter={"group_id": group.pk})
        launching.begin(made.pk, now=frozen.now)
        gone = group.pk
        group.delete()

        assert continue_launches(now=frozen.now) == 0

        made.refresh_from_db()
        assert (made.status, made.error_total) == ("paused", 1)
        assert made.error_log == [
            {
                "recipient_id": None,
                "error": f"target_filter.group_id: there is no group {gone}",
                "timestamp": frozen.now.isoformat(),
            }
        ]


@pytest.mark.django_db(transaction=True)
def test_several_processes_at_once_notify_everyone_once(small_parts):
    people = make_people(60)
    made = make_broadcast()
    launching.begin(made.pk, now=clock.now())
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        start.wait()
        try:
            while not launching.continue_launch(made.pk, until=chance.choice([None, 0.0])):
                pass
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert notified(made) == recipients(made) == people
    made.refresh_from_db()
    assert (made.recipient_count, Job.objects.get().accepted) == (60, 60)
