"""What becomes of a message, seen from outside: accepted, worked, asked about."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from directory.models import ContactPoint, Suppression
from notifications.domain.callers import SYSTEM
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import SendResult, Verdict
from notifications.engine import prepare as steps
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare
from notifications.engine.runs import deliver_rows, keys_of
from notifications.engine.settlement import settle
from notifications.models import (
    Category,
    DeadLetter,
    DeliveryAttempt,
    DeliveryBatch,
    KillSwitch,
    LateOutcome,
    NotificationMessage,
    SandboxMessage,
)
from notifications.queue import batches, takeover
from notifications.recording.late_results import resolve_uncertain
from notifications.recording.record import Recording, record, run, was_committed
from notifications.services import NotificationService, OperationsService
from tests.integration.factories import make_messages, make_template, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _stopped_clock(frozen):
    """Time stands still."""


def send(user, *, channel="email", context=None, **more):
    body = {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channel": channel,
        "context": context or {"amount": 5},
        **more,
    }
    return NotificationService().send(body=body, caller=SYSTEM)


def lease(lane="default", **more):
    return batches.lease(owner="w", lane=lane, seconds=60, **more)


def work(lane="default"):
    """One pass over what is due: the sandbox and the inbox take everything."""
    leases = lease(lane)
    if leases:
        by_channel = {held.channel for held in leases}
        for channel in by_channel:
            deliver_rows([held for held in leases if held.channel == channel], owner="w")
    batches.release([held for held in leases if held.open_keys], "w")
    return len(leases)


def message(answer, channel="email") -> NotificationMessage:
    return NotificationMessage.objects.get(notification__uuid=answer.id, channel=channel)


def events(answer, channel="email"):
    return [(entry["event"], entry["reason"]) for entry in message(answer, channel).history()]


def test_an_inbox_message_is_delivered_and_shows_what_was_rendered():
    make_template()
    answer = send(make_user(first_name="Grace"), channel="in_app")

    work()

    got = message(answer, "in_app")
    assert (got.status, got.attempts, got.provider) == ("delivered", 1, "in_app")
    assert (got.title, got.body) == ("Hello", "Hello Grace: 5")
    assert got.sent_at == got.delivered_at
    assert not DeliveryBatch.objects.exists()
    assert not DeliveryAttempt.objects.exists()


def test_the_sandbox_keeps_what_would_have_gone_out():
    make_template()
    user = make_user(first_name="Grace")
    answer = send(user)

    work()

    content = SandboxMessage.objects.get().content
    assert (content["recipient"], content["title"], content["body"]) == (
        user.email,
        "About 5",
        "Hello Grace: 5",
    )
    assert message(answer).status == "sent"


@pytest.mark.parametrize(
    ("_case", "state", "reason"),
    [
        ("bounced", "bounced", "contact_bounced"),
        ("expired", "expired", "contact_expired"),
    ],
)
def test_a_dead_contact_point_suppresses(_case, state, reason):
    make_template()
    user = make_user()
    ContactPoint.objects.filter(user=user).update(state=state)
    answer = send(user)

    work()

    assert message(answer).status == "suppressed"
    assert ("suppressed", reason) in events(answer)


def test_a_person_without_the_channels_address_is_suppressed():
    make_template()
    answer = send(make_user(email=""))

    work()

    assert ("suppressed", "no_contact_point") in events(answer)


def test_an_inactive_person_is_suppressed():
    make_template()
    answer = send(make_user(is_active=False))

    work()

    assert ("suppressed", "user_inactive") in events(answer)


def test_an_address_suppressed_after_acceptance_is_not_written_to():
    make_template()
    user = make_user()
    answer = send(user)
    Suppression.objects.create(kind="email", address=user.email)

    work()

    assert ("suppressed", "address_suppressed") in events(answer)
    assert not SandboxMessage.objects.exists()


def test_a_message_whose_time_ran_out_expires(frozen):
    make_template()
    answer = send(make_user(), expires_at=(frozen.now + timedelta(seconds=5)).isoformat())
    frozen.forward(6)

    work()

    assert message(answer).status == "expired"


def test_a_scheduled_message_waits_and_then_leaves(frozen):
    make_template()
    answer = send(make_user(), scheduled_at=(frozen.now + timedelta(hours=1)).isoformat())

    assert work() == 0
    frozen.forward(3600)
    assert work() == 1

    assert message(answer).status == "sent"
    assert message(answer).notification.scheduled_status == "sent"


def test_the_newest_of_a_collapse_key_wins():
    make_template()
    user = make_user()
    old = send(user, collapse_key="balance")
    new = send(user, collapse_key="balance")

    work()

    statuses = {message(old).status, message(new).status}
    assert statuses == {"suppressed", "sent"}
    loser = old if message(old).status == "suppressed" else new
    assert ("suppressed", "collapsed_by_newer") in events(loser)


def test_an_ordering_key_keeps_the_later_message_waiting_until_the_earlier_one_is_settled(frozen):
    make_template()
    user = make_user()
    earlier = send(user, ordering_key="chat")
    frozen.forward(0.001)
    younger = send(user, ordering_key="chat")

    work()
    assert (message(earlier).status, message(younger).status) == ("sent", "pending")
    frozen.forward(2)
    work()

    assert message(younger).status == "sent"
    assert message(younger).attempts == 1


@pytest.mark.parametrize(
    ("scope", "value"),
    [
        ("all", ""),
        ("channel", "email"),
        ("provider", "sandbox"),
        ("category", "payment"),
        ("template", "test.hello"),
        ("source", "system"),
    ],
)
def test_a_kill_switch_holds_messages_without_burning_an_attempt(frozen, scope, value):
    make_template()
    answer = send(make_user())
    OperationsService().stop(scope=scope, value=value, reason="a test", caller=SYSTEM)

    work()
    assert (message(answer).status, message(answer).attempts) == ("pending", 0)

    OperationsService().lift(scope=scope, value=value, caller=SYSTEM)
    frozen.forward(6)
    work()
    assert message(answer).status == "sent"


def test_a_template_that_fails_at_send_is_a_dead_letter_and_affects_no_one_else():
    make_template(in_app_template="{{ user.first_name }} {{ 10 // amount|int }}")
    good = send(make_user(), channel="in_app", context={"amount": 2})
    job = NotificationService().send_bulk(
        body={
            "template_path": "test.hello",
            "channel": "in_app",
            "recipients": [{"user_id": make_user().pk, "context": {"amount": 0}}],
        },
        caller=SYSTEM,
    )

    work()

    assert message(good, "in_app").status == "delivered"
    letter = DeadLetter.objects.get()
    assert letter.code == "template_error"
    assert NotificationService().job(identifier=job.job_id, caller=SYSTEM).progress == {"failed": 1}


# -- providers' answers, one by one ------------------------------------------------------------


def dispatched(*, category="payment", **message_values):
    """A message that is journalled and about to be answered by a provider."""
    (made,) = make_messages(1, category=category, **message_values)
    (held,) = lease()
    slice_ = prepare("email", keys_of([held]))
    (ready,) = journal(slice_.ready, owner="w")
    return made, held, ready


def answered(ready, result, frozen):
    outcome = settle(ready, result, at=frozen.now)
    outcome.attempt = True
    record([outcome], owner="w")
    return NotificationMessage.objects.get(pk=ready.message.id)


def test_a_passing_fault_is_tried_again_later_in_a_new_batch(frozen):
    made, held, ready = dispatched()

    got = answered(ready, SendResult(Verdict.RETRY, error="busy", error_code="busy"), frozen)

    assert (got.status, got.attempts, got.last_error) == ("pending", 1, "busy")
    assert got.batch_id != held.batch_id
    assert 1.5 <= (got.scheduled_at - frozen.now).total_seconds() <= 5
    assert DeliveryBatch.objects.get().pk == got.batch_id
    assert DeliveryAttempt.objects.get(message_id=made.pk).verdict == "retry"


def test_a_providers_wish_to_wait_is_honoured(frozen):
    _, _, ready = dispatched()

    got = answered(ready, SendResult(Verdict.RETRY, error="busy", retry_after_s=120), frozen)

    assert (got.scheduled_at - frozen.now).total_seconds() >= 120


def test_the_third_failed_call_is_the_last(frozen):
    made, _, ready = dispatched(attempts=2)

    got = answered(ready, SendResult(Verdict.RETRY, error="busy", error_code="busy"), frozen)

    assert (got.status, got.attempts) == ("failed", 3)
    letter = DeadLetter.objects.get()
    assert (letter.message_id, letter.code, letter.attempts) == (made.pk, "busy", 3)
    assert not DeliveryBatch.objects.exists()


def test_a_final_error_is_a_dead_letter_at_once(frozen):
    _, _, ready = dispatched()

    got = answered(ready, SendResult(Verdict.FAILED, error="no such user"), frozen)

    assert (got.status, got.attempts) == ("failed", 1)
    assert DeadLetter.objects.get().last_error == "no such user"


def test_doubt_is_resent_where_the_category_says_so_and_counts_as_an_attempt(frozen):
    _, _, ready = dispatched()

    got = answered(ready, SendResult(Verdict.UNCERTAIN, error_code="deadline"), frozen)

    assert (got.status, got.attempts) == ("pending", 1)
    assert ("uncertain", "deadline") in [(e["event"], e["reason"]) for e in got.history()]


def test_doubt_is_held_for_a_person_where_the_category_says_so(frozen):
    _, _, ready = dispatched(category="marketing")

    got = answered(ready, SendResult(Verdict.UNCERTAIN, error_code="deadline"), frozen)

    assert got.status == "uncertain"
    assert DeadLetter.objects.get().code == "uncertain"


def test_what_never_left_burns_no_attempt(frozen):
    _, _, ready = dispatched()

    got = answered(ready, SendResult(Verdict.RETRY, error_code="not_started"), frozen)

    assert (got.status, got.attempts) == ("pending", 0)


def test_a_lost_lease_records_nothing_but_evidence(frozen):
    made, held, ready = dispatched()
    DeliveryBatch.objects.filter(pk=held.batch_id).update(fence=99)

    got = answered(ready, SendResult(Verdict.SENT, provider_message_id="x"), frozen)

    assert (got.status, got.attempts) == ("pending", 0)
    assert LateOutcome.objects.get(message_id=made.pk).verdict == "sent"


def test_evidence_settles_a_doubt_and_stops_the_pending_resend(frozen):
    made, _, ready = dispatched()
    frozen.forward(61)
    takeover.sweep(everywhere=True)

    got = answered(ready, SendResult(Verdict.SENT, provider_message_id="x"), frozen)

    assert (got.status, got.provider_message_id) == ("sent", "x")
    deliver_rows(lease(), owner="w")
    assert not SandboxMessage.objects.filter(message_id=made.pk).exists()


def test_what_comes_again_does_so_whatever_else_is_recorded_with_it(frozen):
    make_messages(3)
    (held,) = lease()
    ready = journal(prepare("email", keys_of([held])).ready, owner="w")
    again = SendResult(Verdict.RETRY, error="busy")
    results = (again, SendResult(Verdict.SENT), again)
    outcomes = [
        settle(item, result, at=frozen.now) for item, result in zip(ready, results, strict=True)
    ]

    record(outcomes, owner="w")

    rows = NotificationMessage.objects.order_by("pk").values_list("status", "batch_id")
    assert [status for status, _ in rows] == ["pending", "sent", "pending"]
    places = {place for status, place in rows if status == "pending"}
    assert places <= set(DeliveryBatch.objects.values_list("pk", flat=True))
    assert held.batch_id not in places


def test_evidence_moves_no_message_that_was_never_in_doubt(frozen):
    made, _, ready = dispatched()
    outcome = settle(ready, SendResult(Verdict.SENT, provider_message_id="x"), at=frozen.now)

    assert resolve_uncertain([outcome]) == 0
    assert NotificationMessage.objects.get(pk=made.pk).status == "pending"

    frozen.forward(61)
    takeover.sweep(everywhere=True)
    assert resolve_uncertain([outcome]) == 1
    assert resolve_uncertain([outcome]) == 0


def test_a_record_that_is_repeated_changes_nothing_more(frozen):
    """A commit whose answer was lost is tried again; its messages have moved on meanwhile."""
    make_messages(2)
    (held,) = lease()
    ready = journal(prepare("email", keys_of([held])).ready, owner="w")
    first, second = (
        settle(item, SendResult(Verdict.RETRY, error="busy"), at=frozen.now) for item in ready
    )
    del second
    record([first], owner="w")
    before = NotificationMessage.objects.get(pk=first.message.id)

    record([first], owner="w")

    after = NotificationMessage.objects.get(pk=first.message.id)
    assert (after.batch_id, after.attempts, after.trail) == (
        before.batch_id,
        before.attempts,
        before.trail,
    )


@pytest.mark.parametrize("category", ["payment", "marketing"])
def test_a_record_that_was_undone_is_not_taken_for_done_because_its_batch_was_taken_over(
    frozen, category
):
    """The link was cut before the commit arrived; when it is back, the lease is another's."""
    _, _, ready = dispatched(category=category)
    outcome = settle(ready, SendResult(Verdict.SENT, provider_message_id="x"), at=frozen.now)
    recording = Recording([outcome])
    with transaction.atomic():
        run(recording, owner="w")
        transaction.set_rollback(True)
    frozen.forward(61)
    takeover.sweep(everywhere=True)

    assert recording.at_commit
    assert not was_committed(recording, owner="w")

    record([outcome], owner="w")
    got = NotificationMessage.objects.get(pk=outcome.message.id)
    assert (got.status, got.provider_message_id) == ("sent", "x")


def test_a_record_whose_commit_stands_is_known_by_its_messages(frozen):
    """Its batch is finished and gone; beside it is one whose journal it did not change."""
    _, _, ready = dispatched()
    make_messages(2, source="key:2")
    (other,) = lease()
    waits = prepare("email", keys_of([other])).ready[0]
    sent = settle(ready, SendResult(Verdict.SENT), at=frozen.now)
    later = settle(waits, SendResult(Verdict.RETRY, error="busy"), at=frozen.now)

    assert was_committed(record([sent, later], owner="w"), owner="w")
    assert was_committed(record([sent], owner="w"), owner="w")


def test_nothing_of_a_batch_that_was_taken_over_leaves_with_a_record_in_doubt(frozen):
    _, _, ready = dispatched()
    make_messages(2, source="key:2")
    (other,) = lease()
    sent = settle(ready, SendResult(Verdict.SENT), at=frozen.now)
    recording = record([sent], owner="w")
    recording.departing = {other: {1}}
    recording.journals = {other: other.journal}

    assert was_committed(recording, owner="w")
    DeliveryBatch.objects.filter(pk=other.batch_id).update(fence=99)
    assert not was_committed(recording, owner="w")


def test_the_journal_reads_stops_and_suppressions_once_more():
    (made,) = make_messages(1)
    (held,) = lease()
    work_ = prepare("email", keys_of([held]))
    KillSwitch.objects.create(
        scope="channel", value="email", reason="x", actor="t", created_at=work_.at
    )

    assert journal(work_.ready, owner="w") == []
    assert DeliveryBatch.objects.get().journal == ""
    assert made.status == MessageStatus.PENDING


def test_a_test_key_never_reaches_a_real_provider(settings):
    from dataclasses import replace

    from notifications.domain.callers import Caller

    settings.CARILLON = replace(settings.CARILLON, email_provider="smtp")
    make_template()
    caller = Caller(
        name="key:1", is_service=True, is_test=True, scopes=frozenset({"notifications:send"})
    )
    body = {
        "template_path": "test.hello",
        "user_id": make_user().pk,
        "channel": "email",
        "context": {"amount": 1},
    }
    answer = NotificationService().send(body=body, caller=caller)

    work()

    assert message(answer).provider == "sandbox"
    assert Category.objects.filter(key="payment").exists()


@pytest.mark.parametrize(("channel", "looks"), [("email", True), ("push", True), ("sms", False)])
def test_the_category_of_digests_is_read_only_for_channels_with_bursts(monkeypatch, channel, looks):
    read = []
    monkeypatch.setattr(steps, "category_by_key", read.append)
    make_messages(1, channel=channel)
    prepare(channel, keys_of(lease()))
    assert bool(read) is looks
