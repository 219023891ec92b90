"""Counters are folded from reported changes and are always the sums of the rows."""

from __future__ import annotations

import random
import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.domain.lifecycle import MessageStatus
from notifications.engine.runs import deliver_rows
from notifications.features.broadcasts.delivery import fold as broadcast_fold
from notifications.features.broadcasts.delivery.fold import fold_changes, reconcile, recount
from notifications.features.broadcasts.delivery.upkeep import check_counts
from notifications.features.operations.metrics import metrics_response
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastChange,
    BroadcastRecipient,
    NotificationMessage,
    UserNotificationPreference,
)
from notifications.queue import batches
from tests.integration.broadcasts.factories import (
    deliver,
    launch,
    maintain,
    make_broadcast,
    make_people,
    settle_messages,
    states,
)
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db
S = MessageStatus


def counts(broadcast: Broadcast) -> tuple[int, ...]:
    broadcast.refresh_from_db()
    tally = broadcast.tally
    assert tally.is_consistent
    return (tally.sent, tally.failed, tally.suppressed, tally.uncertain, tally.pending)


class TestFolding:
    def test_delivered_messages_are_counted_and_the_broadcast_completes(self, frozen):
        make_people(7)
        made = launch(make_broadcast())
        assert counts(made) == (0, 0, 0, 0, 7)
        deliver()
        assert counts(made) == (0, 0, 0, 0, 7)
        assert BroadcastChange.objects.exists()

        maintain(made)

        assert counts(made) == (7, 0, 0, 0, 0)
        assert (made.status, made.completed_at) == ("completed", frozen.now)
        assert states(made) == {"sent": 7}
        assert not BroadcastChange.objects.exists()
        row = BroadcastRecipient.objects.filter(broadcast=made)[0]
        assert (row.channel_states, row.sent_at) == ({"in_app": "delivered"}, frozen.now)

    def test_a_recipient_is_sent_if_any_channel_sent_and_failed_if_none_did(self):
        one, two, three, four = make_people(4)
        made = launch(make_broadcast(channels=["in_app", "email"]))
        settle_messages(made, S.SENT, [one], channel="email")
        settle_messages(made, S.FAILED, [one], channel="in_app", error="no")
        settle_messages(made, S.FAILED, [two], error="mailbox full")
        settle_messages(made, S.SUPPRESSED, [three], channel="email")
        settle_messages(made, S.FAILED, [three], channel="in_app", error="mailbox full")
        settle_messages(made, S.SUPPRESSED, [four])

        maintain(made)

        assert counts(made) == (1, 2, 1, 0, 0)
        assert made.status == "completed"
        assert made.error_reasons == {"mailbox full": 2}
        assert made.error_total == 2
        assert sorted(entry["recipient_id"] for entry in made.error_log) == [two, three]
        assert {entry["error"] for entry in made.error_log} == {"mailbox full"}
        row = BroadcastRecipient.objects.get(broadcast=made, recipient=one)
        assert row.channel_states == {"in_app": "failed", "email": "sent"}

    def test_a_recipient_is_pending_while_a_channel_may_still_send(self):
        (one,) = make_people(1)
        made = launch(make_broadcast(channels=["in_app", "email"]))
        settle_messages(made, S.FAILED, [one], channel="in_app", error="no")
        maintain(made)
        assert counts(made) == (0, 0, 0, 0, 1)
        assert made.status == "sending"

    def test_a_broadcast_whose_recipients_all_failed_is_failed(self):
        people = make_people(3)
        made = launch(make_broadcast())
        settle_messages(made, S.FAILED, people, error="network error")
        maintain(made)
        assert counts(made) == (0, 3, 0, 0, 0)
        assert made.status == "failed"
        assert made.completed_at is not None

    def test_telegram_results_set_the_telegram_columns(self):
        one, two = make_people(2)
        made = launch(make_broadcast(channels=["telegram"]))
        settle_messages(made, S.FAILED, [two], error="chat not found")
        rows = NotificationMessage.objects.filter(user_id=one)
        rows.update(provider_message_id="77")
        settle_messages(made, S.SENT, [one])
        maintain(made)
        sent = BroadcastRecipient.objects.get(recipient=one)
        failed = BroadcastRecipient.objects.get(recipient=two)
        assert (sent.telegram_sent, sent.telegram_message_id, sent.telegram_error) == (
            True,
            "77",
            None,
        )
        assert (failed.telegram_sent, failed.telegram_error) == (False, "chat not found")
        assert failed.error == "chat not found"

    def test_uncertain_recipients_are_counted_and_resolved_later(self, frozen):
        people = make_people(2)
        made = launch(make_broadcast(channels=["telegram"]))
        settle_messages(made, S.UNCERTAIN, people)
        maintain(made)
        assert counts(made) == (0, 0, 0, 2, 0)
        assert made.status == "sent"
        settle_messages(made, S.SENT, people)
        maintain(made)
        assert counts(made) == (2, 0, 0, 0, 0)
        assert made.status == "completed"

    def test_a_broadcast_is_sent_until_the_last_receipt_or_for_a_day(
        self, frozen, override_environment
    ):
        override_environment(email_provider="ses")
        one, two = make_people(2)
        made = launch(make_broadcast(channels=["email"]))
        settle_messages(made, S.SENT, [one, two])
        maintain(made)
        assert (made.status, made.completed_at) == ("sent", None)
        settle_messages(made, S.DELIVERED, [one])
        assert maintain(made).status == "sent"
        frozen.forward(86_400)
        assert maintain(made).status == "completed"

    def test_the_last_receipt_completes_a_broadcast(self, frozen, override_environment):
        override_environment(email_provider="ses")
        people = make_people(2)
        made = launch(make_broadcast(channels=["email"]))
        settle_messages(made, S.SENT, people)
        assert maintain(made).status == "sent"
        settle_messages(made, S.DELIVERED, people)
        assert maintain(made).status == "completed"
        assert counts(made) == (2, 0, 0, 0, 0)

    def test_the_log_stores_a_hundred_errors_and_the_total(self):
        people = make_people(130)
        made = launch(make_broadcast())
        for person in people:
            settle_messages(made, S.FAILED, [person], error=f"reason {person}")
        maintain(made)
        assert (len(made.error_log), made.error_total) == (100, 130)
        assert made.error_log[-1]["recipient_id"] == people[-1]
        assert len(made.error_reasons) == 51
        assert made.error_reasons["other reasons"] == 80
        assert sum(made.error_reasons.values()) == 130

    def test_recipients_suppressed_by_policy_are_counted(self):
        one, _ = make_people(2)
        UserNotificationPreference.objects.create(user_id=one, notifications_enabled=False)
        made = launch(make_broadcast())
        deliver()
        maintain(made)
        assert counts(made) == (1, 0, 1, 0, 0)
        assert made.status == "completed"


class TestReporting:
    def test_a_slice_without_broadcasts_runs_no_statement(self):
        make_messages(3, channel="in_app", lane="bulk", source="key:1")
        with CaptureQueriesContext(connection) as queries:
            deliver()
        assert not [q for q in queries if "broadcast" in q["sql"]]

    def test_a_slice_of_a_broadcast_appends_one_row(self):
        make_people(300)
        launch(make_broadcast())
        leases = batches.lease(owner="w", lane="bulk", seconds=60)
        with CaptureQueriesContext(connection) as queries:
            deliver_rows(leases, owner="w")
        written = [q for q in queries if "notifications_broadcast" in q["sql"]]
        assert len(written) == BroadcastChange.objects.count() <= 3


class TestTruth:
    def test_a_change_reported_twice_is_counted_once(self):
        people = make_people(5)
        made = launch(make_broadcast())
        settle_messages(made, S.DELIVERED, people)
        changes = list(BroadcastChange.objects.all())
        fold_changes(now=clock.now())
        BroadcastChange.objects.bulk_create(
            BroadcastChange(broadcast_id=row.broadcast_id, keys=row.keys) for row in changes
        )
        fold_changes(now=clock.now())
        assert counts(made) == (5, 0, 0, 0, 0)

    def test_the_maintenance_finds_lost_changes(self):
        people = make_people(5)
        made = launch(make_broadcast())
        settle_messages(made, S.DELIVERED, people)
        BroadcastChange.objects.all().delete()
        assert check_counts(now=clock.now()) == 0
        assert counts(made) == (5, 0, 0, 0, 0)

    def test_wrong_counters_are_corrected_and_reported(self):
        people = make_people(5)
        made = launch(make_broadcast())
        settle_messages(made, S.DELIVERED, people)
        fold_changes(now=clock.now())
        Broadcast.objects.filter(pk=made.pk).update(sent_count=3, failed_count=1)
        assert reconcile(made.pk, now=clock.now()) == 3
        assert counts(made) == (5, 0, 0, 0, 0)
        assert made.miscounted == 3
        assert reconcile(made.pk, now=clock.now()) == 0

    @pytest.mark.parametrize("seed", range(5))
    def test_counters_are_the_sums_of_the_rows_after_any_events(self, seed, monkeypatch):
        monkeypatch.setattr(broadcast_fold, "AT_ONCE", 7)
        chance = random.Random(seed)
        people = make_people(40)
        made = launch(make_broadcast(channels=["in_app", "email"]))
        for _ in range(60):
            kind = chance.choice([S.SENT, S.FAILED, S.SUPPRESSED, S.UNCERTAIN, S.DELIVERED])
            some = chance.sample(people, chance.randint(1, 6))
            settle_messages(made, kind, some, channel=chance.choice(["in_app", "email"]), error="x")
            if chance.random() < 0.3:
                fold_changes(now=clock.now())
                found = states(made)
                made.refresh_from_db()
                assert made.tally.is_consistent
                assert (made.sent_count, made.failed_count) == (
                    found.get("sent", 0),
                    found.get("failed", 0),
                )
                assert sum(made.error_reasons.values()) == made.failed_count
        fold_changes(now=clock.now())
        assert recount(made.pk, now=clock.now()) == 0
        assert reconcile(made.pk, now=clock.now()) == 0

    def test_a_broadcast_that_another_process_counts_is_left_to_it(self, monkeypatch):
        people = make_people(2)
        made = launch(make_broadcast())
        settle_messages(made, S.DELIVERED, people)
        monkeypatch.setattr(broadcast_fold, "lock_counting", lambda *_a, **_k: False)
        assert fold_changes(now=clock.now()) == set()
        assert BroadcastChange.objects.exists()
        monkeypatch.undo()
        assert fold_changes(now=clock.now()) == {made.pk}


@pytest.mark.django_db(transaction=True)
def test_several_processes_count_at_once_and_nothing_is_counted_twice(monkeypatch):
    monkeypatch.setattr(broadcast_fold, "AT_ONCE", 5)
    people = make_people(60)
    made = launch(make_broadcast())
    for person in people:
        settle_messages(made, S.DELIVERED if person % 2 else S.FAILED, [person], error="x")
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def work() -> None:
        start.wait()
        try:
            while BroadcastChange.objects.exists():
                fold_changes(now=clock.now())
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert counts(made) == (
        sum(person % 2 for person in people),
        sum(person % 2 == 0 for person in people),
        0,
        0,
        0,
    )


def test_the_figures_are_exported():
    one, two, _ = make_people(3)
    made = launch(make_broadcast())
    settle_messages(made, S.FAILED, [one], error="x")
    settle_messages(made, S.DELIVERED, [two])
    fold_changes(now=clock.now())
    text = metrics_response().decode()
    for line in (
        'notification_broadcast_recipients{state="sent"} 1.0',
        'notification_broadcast_recipients{state="failed"} 1.0',
        'notification_broadcast_recipients{state="pending"} 1.0',
        "notification_broadcasts 1.0",
        "notification_broadcast_changes 0.0",
        "notification_broadcast_miscounted 0.0",
        "notification_broadcast_invariant_broken 0.0",
    ):
        assert line in text
    Broadcast.objects.filter(pk=made.pk).update(sent_count=9)
    assert "notification_broadcast_invariant_broken 1.0" in metrics_response().decode()
