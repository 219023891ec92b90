"""What was open in a backup is held, and sent only by a person's decision."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import transaction

from carillon.backup.loaded import forget_loaded, loaded_time
from notifications.domain.callers import SYSTEM
from notifications.features.dead_letters.service import DeadLetterFilter, DeadLetterService
from notifications.features.privacy.known import KnownErasures
from notifications.features.restoring import settle
from notifications.features.restoring.access import end_access
from notifications.features.restoring.service import settle_restored
from notifications.features.restoring.settle import (
    CODE,
    NotFreed,
    NotMade,
    free_batches,
    hold_open,
)
from notifications.features.rooms.presence import begin_lease, write_people
from notifications.features.scheduling import recurring
from notifications.features.scheduling.service import ScheduleService
from notifications.features.upkeep import digests
from notifications.infra import clock
from notifications.models import (
    ApiKey,
    AuditLeaf,
    Broadcast,
    Category,
    DeadLetter,
    DeliveryBatch,
    DigestBucket,
    DigestItem,
    Erasure,
    InboxEpoch,
    InstallationState,
    NotificationMessage,
    PersonToken,
    Presence,
    QueuedTask,
    ScheduleClock,
    WebProcess,
    WorkerProcess,
)
from notifications.models.audit.actions import record_change
from notifications.models.operations.installation import NotSettled
from notifications.queue import takeover
from tests.integration.broadcasts.factories import launch, make_broadcast, make_people
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db
SOON = timedelta(seconds=5)


def now():
    return clock.now() + SOON  # messages are due by the clock of the database


def statuses():
    return sorted(NotificationMessage.objects.values_list("status", flat=True))


def lease(batch_id, *journalled):
    until = clock.now() + timedelta(days=900)
    WorkerProcess.objects.create(owner="w@gone", started_at=clock.now(), lease_until=until)
    DeliveryBatch.objects.filter(pk=batch_id).update(
        owner="w@gone", lease_until=until, journal=",".join(map(str, journalled))
    )


def test_a_message_that_was_due_waits_for_a_decision_and_is_replayed_by_one_call():
    due, later = make_messages(2)[0], make_messages(1)[0]
    DeliveryBatch.objects.filter(pk=later.batch_id).update(due_at=now() + timedelta(days=3))
    held = hold_open(now=now())
    assert held.messages == 2
    assert statuses() == ["pending", "uncertain", "uncertain"]
    assert set(DeadLetter.objects.values_list("code", flat=True)) == {CODE}
    assert not DeliveryBatch.objects.filter(pk=due.batch_id).exists()

    done = DeadLetterService().replay_matching(wanted=DeadLetterFilter(code=CODE), caller=SYSTEM)
    assert (done.done, done.left) == (2, 0)
    assert statuses() == ["pending"] * 3


def test_a_channel_that_is_a_row_of_the_database_is_delivered():
    make_messages(1, channel="in_app")
    assert hold_open(now=now()).messages == 0
    assert statuses() == ["pending"]


@pytest.mark.parametrize("policy", ["hold", "resend"])
def test_what_was_in_flight_is_uncertain_and_never_sent_again_silently(policy):
    Category.objects.filter(key="payment").update(crash_policy=policy)
    first, second = make_messages(2)
    lease(first.batch_id, first.pk)
    free_batches()
    hold_open(now=now())
    assert statuses() == ["uncertain", "uncertain"]
    codes = dict(DeadLetter.objects.values_list("message_id", "code"))
    assert codes == {first.pk: "uncertain" if policy == "hold" else CODE, second.pk: CODE}
    assert not WorkerProcess.objects.exists()


def test_presence_is_not_restored():
    write_people(begin_lease("a web process"), {make_user().pk: True})
    free_batches()
    assert not Presence.objects.exists()
    assert not WebProcess.objects.exists()


def test_batches_that_cannot_be_taken_over_are_an_error(monkeypatch):
    (message,) = make_messages(1)
    lease(message.batch_id)
    monkeypatch.setattr(takeover, "sweep", lambda **_: takeover.TakeoverReport())
    with pytest.raises(NotFreed):
        free_batches()


def test_a_broadcast_is_paused_with_its_messages_and_a_due_one_is_a_draft():
    make_people(3)
    sending = launch(make_broadcast(target_group="all_students", channels=["email"]))
    due = make_broadcast(status="scheduled", scheduled_at=clock.now() - timedelta(hours=1))
    future = make_broadcast(status="scheduled", scheduled_at=now() + timedelta(hours=1))
    waiting = NotificationMessage.objects.filter(status="pending").count()
    held = hold_open(now=now())
    assert (held.paused, held.drafts, held.messages) == (1, 1, 0)
    states = dict(Broadcast.objects.values_list("pk", "status"))
    assert states == {sending.pk: "paused", due.pk: "draft", future.pk: "scheduled"}
    assert NotificationMessage.objects.filter(status="pending").count() == waiting == 3


def due_digest():
    at = clock.now() - timedelta(hours=1)
    bucket = DigestBucket.objects.create(
        user=make_user(),
        channel="email",
        frequency="daily",
        period="p",
        closes_at=at,
        created_at=at,
    )
    DigestItem.objects.create(
        bucket=bucket,
        message_id=bucket.pk,
        notification_id=1,
        category_id=Category.objects.get(key="course").pk,
        summary={"title": "t", "body": "b"},
        at=at,
    )
    return bucket


def test_all_due_digests_are_held_in_as_many_rounds_as_they_need(monkeypatch):
    once = lambda *, now: digests.close_due(now=now, rounds=1)  # noqa: E731
    monkeypatch.setattr(settle, "close_due", once)
    monkeypatch.setattr(digests, "_AT_ONCE", 1)
    for _ in range(3):
        due_digest()
    held = hold_open(now=now())
    assert (held.messages, held.digests) == (3, 0)
    assert not DigestBucket.objects.filter(closed_at=None).exists()


def test_a_digest_that_cannot_be_made_is_an_error_and_at_the_third_is_closed(monkeypatch):
    bucket, good = due_digest(), due_digest()
    close = digests._close

    def fail(keys, *, now):
        if bucket.pk in keys:
            raise ValueError
        return close(keys, now=now)

    monkeypatch.setattr(digests, "_close", fail)
    for _ in range(2):
        with pytest.raises(NotMade, match="set-aside"):
            hold_open(now=now())
    held = hold_open(now=now())
    assert (held.messages, held.digests) == (1, 1)
    rows = dict(DigestBucket.objects.values_list("pk", "notification_id"))
    assert rows[bucket.pk] is None
    assert rows[good.pk] is not None
    assert not DigestBucket.objects.filter(closed_at=None).exists()


def test_a_series_whose_occurrence_cannot_be_made_is_an_error(frozen, monkeypatch):
    body = {
        "recipients": [make_user().pk],
        "title": "Lesson",
        "message": "Soon",
        "scheduled_at": "2030-05-02T09:00:00Z",
        "timezone": "UTC",
        "recurrence": "FREQ=DAILY",
    }
    ScheduleService().schedule(body=body, caller=SYSTEM)
    frozen.now += timedelta(days=3)
    make = recurring.accept_groups

    def fail(*_args, **_values):
        raise ValueError

    monkeypatch.setattr(recurring, "accept_groups", fail)
    with pytest.raises(NotMade, match="schedule"):
        hold_open(now=now())
    monkeypatch.setattr(recurring, "accept_groups", make)
    hold_open(now=now())
    assert not ScheduleClock.objects.filter(make_at__lte=now()).exists()


def test_a_task_that_waited_is_ended():
    QueuedTask.objects.create(
        task_id="t", name="x", call=[[], {}], due_at=clock.now(), created_at=clock.now()
    )
    assert hold_open(now=now()).tasks == 1
    found = QueuedTask.objects.get()
    assert (found.state, found.last_error.partition(":")[0]) == ("failed", CODE)


def test_the_time_of_a_loaded_database_is_that_of_its_newest_row(frozen, tmp_path):
    assert loaded_time(tmp_path) is None
    values = {"actor": "x", "reason": "asked", "state": "done", "next_at": clock.now()}
    Erasure.objects.create(requested_at=clock.now(), **values)
    assert loaded_time(tmp_path) == clock.now()
    frozen.forward(60)
    make_messages(1)
    assert loaded_time(tmp_path) == clock.now()
    frozen.forward(60)
    with transaction.atomic():
        record_change(actor="x", action="key.made", target="key:1", at=clock.now())
    assert loaded_time(tmp_path) == clock.now()


def test_an_interrupted_restore_of_a_loaded_database_finds_the_same_time_again(frozen, tmp_path):
    make_messages(1)
    at = clock.now()
    InstallationState.objects.unsettle()
    frozen.forward(60)
    assert loaded_time(tmp_path) == at
    frozen.forward(60)
    make_messages(1)  # the restore made it
    assert loaded_time(tmp_path) == at
    InstallationState.objects.settle(at=clock.now(), backup_at=at)
    assert loaded_time(tmp_path) == clock.now()  # the service made it
    InstallationState.objects.unsettle()
    forget_loaded(tmp_path)
    assert not list(tmp_path.iterdir())


def test_access_that_a_restore_would_revive_is_ended_or_listed():
    boss = make_user(username="boss", is_staff=True)
    PersonToken.objects.create(user=boss, key_hash="a" * 64)
    Session.objects.create(session_key="k", session_data="x", expire_date=now())
    ApiKey.make(name="shop", scopes=[])
    gone, _ = ApiKey.make(name="old", scopes=[])
    ApiKey.objects.filter(pk=gone.pk).update(revoked_at=now())
    found = end_access()
    assert (found.sessions, found.tokens) == (1, 1)
    assert not Session.objects.exists()
    assert not PersonToken.objects.exists()
    assert (found.key_count, found.staff) == (1, [f"user {boss.pk}"])
    assert found.keys[0].startswith("shop (")


@pytest.mark.parametrize("send_open", [False, True])
def test_an_installation_may_send_only_when_all_is_settled(send_open):
    make_messages(1)
    DeliveryBatch.objects.update(due_at=clock.now() - timedelta(hours=1))
    InstallationState.objects.unsettle()
    with pytest.raises(NotSettled):
        InstallationState.objects.check_settled()
    lines: list[str] = []
    at = clock.now() - timedelta(hours=2)
    done = settle_restored(KnownErasures(), backup_at=at, send_open=send_open, report=lines.append)
    InstallationState.objects.check_settled()
    assert InstallationState.objects.get().backup_at == at
    assert statuses() == (["pending"] if send_open else ["uncertain"])
    assert (done.held is None) is send_open
    assert AuditLeaf.objects.filter(action="installation.restored").count() == 1
    assert lines
    assert done.access.sessions == 0


def test_clients_of_a_restored_installation_begin_anew():
    before = InboxEpoch.objects.current()
    InstallationState.objects.unsettle()
    settle_restored(KnownErasures(), backup_at=None, send_open=False, report=lambda _: None)
    assert InboxEpoch.objects.current() != before
