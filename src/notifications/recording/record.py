"""The record: outcomes of many messages, under the fences of their leases, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.domain.messages import NOT_CALLED, SendResult, Verdict
from notifications.infra import telemetry
from notifications.infra.crypto import seal_json
from notifications.models import (
    BATCH_SIZE,
    BroadcastNews,
    DeadLetter,
    Notification,
    SandboxMessage,
    pack_keys,
)
from notifications.models.hot import hot
from notifications.models.hot_rows import Change
from notifications.queue import batches
from notifications.queue.leases import Lease, NewBatch
from notifications.recording.contacts import close_dead_contacts
from notifications.recording.events import tell_outcomes
from notifications.recording.evidence import keep_evidence, settle_doubt
from notifications.recording.fallback import fall_back
from notifications.recording.outcomes import Outcome, error_text, last_result
from notifications.recording.reports import report_simulated
from notifications.recording.restraint import restrain, write_items


@dataclass(slots=True)
class Recorded:
    """What one record did: how many messages took it, and the lanes that got new batches."""

    took: int = 0
    late: int = 0
    next_due: list[datetime] = field(default_factory=list)


Departure = Callable[[set[int]], Mapping[Lease, set[int]]]


def record(
    outcomes: Sequence[Outcome],
    *,
    owner: str,
    leaving: Sequence[Lease] = (),
    depart: Departure | None = None,
) -> Recorded:
    """Writes outcomes once. Those whose lease was lost become evidence and change no message.

    What is about to leave next can share the transaction: `depart` is called in it with the ids of
    the batches that are held (`leaving` among them) and answers the keys to be journalled.

    Nothing of the leases in memory changes unless the transaction commits, so that a failed record
    can simply be tried again.
    """
    report = Recorded()
    done: dict[Lease, set[int]] = {lease: set() for lease in leaving}
    for outcome in outcomes:
        done.setdefault(outcome.lease, set()).add(outcome.message.id)
    with transaction.atomic():
        held = batches.hold(list(done), owner)
        standing: Sequence[Outcome] = [o for o in outcomes if o.lease.batch_id in held]
        late = [o for o in outcomes if o.lease.batch_id not in held]
        if late:
            report.late = keep_evidence(late)
        standing, buckets = restrain(standing)
        took = _apply(standing, report) if standing else set()
        _write_facts(standing, took)
        tell_outcomes(standing, took)
        fall_back(standing, took)
        _tell_broadcasts(standing, took)
        if buckets:
            write_items(standing, took, buckets)
        # What a lost lease still names counts against the limit until somebody took it over.
        lost = any(lease.journal and lease.batch_id not in held for lease in done)
        departing = depart(held) if depart and not lost else {}
        journals = {
            lease: (lease.journal - keys) | departing.get(lease, set())
            for lease, keys in done.items()
        }
        _close(done, journals, held)
    for lease, keys in done.items():
        lease.journal = journals[lease]
        lease.open_keys -= keys
    if late:
        settle_doubt(late)
    report.took = len(took)
    _count(standing, took)
    return report


def _close(
    done: Mapping[Lease, set[int]], journals: Mapping[Lease, set[int]], held: set[int]
) -> None:
    """Writes the journals that changed, and deletes batches in which nothing is left open."""
    changed: dict[int, str] = {}
    finished: list[int] = []
    for lease, keys in done.items():
        if lease.batch_id not in held:
            continue
        if not lease.open_keys - keys:
            finished.append(lease.batch_id)
        elif journals[lease] != lease.journal:
            changed[lease.batch_id] = pack_keys(journals[lease])
    if changed:
        batches.statements().write_journals(changed)
    if finished:
        batches.statements().delete(finished)


def _apply(outcomes: Sequence[Outcome], report: Recorded) -> set[int]:
    moved = _rebatch(outcomes, report)
    changes = []
    for outcome in outcomes:
        reached = outcome.status in REACHED
        delivered = outcome.status is MessageStatus.DELIVERED
        result = outcome.result
        changes.append(
            Change(
                outcome.message.id,
                outcome.status.value,
                outcome.attempts,
                _provider(outcome),
                result.provider_message_id or None if result else None,
                None if reached else error_text(result),
                outcome.trail,
                outcome.content,
                moved.get(outcome.message.id),
                outcome.again_at,
                outcome.at if reached else None,
                outcome.at if delivered else None,
                outcome.lease.batch_id,
            )
        )
    return hot().apply_changes(changes)


def _rebatch(outcomes: Iterable[Outcome], report: Recorded) -> dict[int, int]:
    """Puts what comes again into new batches, grouped by the second; message id -> batch id."""
    groups: dict[tuple[str, str, str, datetime, bool, int], list[int]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.again_at is None:
            continue
        lease, due = outcome.lease, outcome.again_at.replace(microsecond=0)
        if due < outcome.again_at:
            due = outcome.again_at  # never earlier than asked; sub-second delays stay exact
        takeovers = lease.takeovers if outcome.alone else 0
        key = (lease.lane, lease.channel, lease.source, due, outcome.alone, takeovers)
        groups[key].append(outcome.message.id)
    made: list[NewBatch] = []
    for (lane, channel, source, due, alone, takeovers), keys in groups.items():
        step = 1 if alone else BATCH_SIZE
        for start in range(0, len(keys), step):
            part = sorted(keys[start : start + step])
            made.append(NewBatch(lane, channel, source, due, part, takeovers, alone))
        report.next_due.append(due)
    ids = batches.put(made)
    return {key: made_id for batch, made_id in zip(made, ids, strict=True) for key in batch.keys}


def _write_facts(outcomes: Sequence[Outcome], took: set[int]) -> None:
    """The rows beside the message: attempts, what the sandbox keeps, dead letters, schedules."""
    attempts = [row for o in outcomes if o.attempt and o.result for row in _attempts(o, o.result)]
    if attempts:
        hot().insert_attempts(attempts)
    close_dead_contacts(outcomes)
    report_simulated(outcomes)
    kept = [_kept(o) for o in outcomes if o.provider == "sandbox" and o.outbound]
    if kept:
        SandboxMessage.objects.bulk_create(kept, ignore_conflicts=True)
    dead = [_dead_letter(o) for o in outcomes if o.dead_code and o.message.id in took]
    if dead:
        DeadLetter.objects.bulk_create(dead)
        for letter in dead:
            telemetry.log_dead_letter(letter.message_id, letter.code, letter.attempts)
    scheduled = [
        o.message.notification_id
        for o in outcomes
        if o.message.scheduled_status == "pending" and o.status in REACHED
    ]
    if scheduled:
        Notification.objects.filter(pk__in=scheduled).update(scheduled_status="sent")


def _tell_broadcasts(outcomes: Sequence[Outcome], took: set[int]) -> None:
    """Whose recipients are to be counted anew; a statement for slices of broadcasts only."""
    told = [
        (outcome.lease.source, outcome.message.notification_id)
        for outcome in outcomes
        if outcome.lease.source.startswith("broadcast:")
        and outcome.status is not MessageStatus.PENDING
        and outcome.message.id in took
    ]
    if told:
        BroadcastNews.objects.tell(told)


def _attempts(outcome: Outcome, result: SendResult) -> list[tuple[Any, ...]]:
    """A row for each call: one, or one for each device."""
    if not result.parts:
        return [_attempt(outcome, result, outcome.provider or "", None)]
    return [
        _attempt(outcome, part.result, part.target.provider, part.target.device_id)
        for part in result.parts
        if part.result.error_code not in NOT_CALLED
    ]


def _attempt(
    outcome: Outcome, result: SendResult, provider: str, device_id: int | None
) -> tuple[Any, ...]:
    return (
        outcome.message.id,
        outcome.attempts,
        provider,
        result.verdict.value,
        result.error_code,
        result.error,
        result.provider_message_id,
        None if result.response is None else seal_json(result.response),
        int(result.duration_s * 1000),
        device_id,
        hot().time_value(outcome.at),
    )


def _kept(outcome: Outcome) -> SandboxMessage:
    assert outcome.outbound is not None
    sent = outcome.outbound
    content = {
        "recipient": sent.recipient,
        "title": sent.content.title,
        "body": sent.content.body,
        "html": sent.content.html,
        "data": dict(sent.content.data),
        "headers": dict(sent.headers),
        "provider": outcome.provider,
        "priority": sent.priority,
        "category": sent.category,
        "sender": sent.sender,
        "reference": sent.reference,
        "attachments": [
            {"filename": f.filename, "content_type": f.content_type, "bytes": len(f.content)}
            for f in sent.attachments
        ],
    }
    return SandboxMessage(
        message_id=sent.message_id,
        channel=sent.channel,
        content=seal_json(content),
        at=outcome.at,
    )


def _provider(outcome: Outcome) -> str | None:
    """Who took the message, or may have: one that is tried again for a sure no is free to go by
    another."""
    doubted = outcome.result is not None and outcome.result.verdict is Verdict.UNCERTAIN
    return outcome.provider if outcome.status is not MessageStatus.PENDING or doubted else None


def _dead_letter(outcome: Outcome) -> DeadLetter:
    result = last_result(outcome.result)
    return DeadLetter(
        message_id=outcome.message.id,
        notification_id=outcome.message.notification_id,
        channel=outcome.message.channel,
        provider=outcome.provider or "",
        category=outcome.outbound.category if outcome.outbound else "",
        template_version_id=outcome.message.template_version_id,
        code=outcome.dead_code,
        last_error=error_text(outcome.result) or outcome.dead_code,
        last_result=None if result is None else seal_json(result),
        attempts=outcome.attempts,
        failed_at=outcome.at,
    )


def _count(outcomes: Iterable[Outcome], took: set[int]) -> None:
    counts: dict[tuple[str, int | None, str], int] = defaultdict(int)
    for outcome in outcomes:
        if outcome.message.id in took:
            message = outcome.message
            counts[message.channel, message.template_version_id, outcome.status] += 1
    telemetry.count_messages(counts)
