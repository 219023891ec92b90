"""The record writes the outcomes of many messages in one transaction, under their fences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.domain.messages import Verdict
from notifications.infra import telemetry
from notifications.infra.crypto import seal_json
from notifications.models import (
    BATCH_SIZE,
    BroadcastChange,
    DeadLetter,
    NotificationMessage,
    SandboxMessage,
    ScheduledStatus,
    change_scheduled,
    pack_keys,
)
from notifications.models.delivery.hot import hot
from notifications.models.delivery.hot_rows import Change
from notifications.models.inbox.epoch import keep_beat
from notifications.queue import batches
from notifications.queue.leases import Lease, LockedBatches, NewBatch
from notifications.recording.arrivals import shows, write_arrivals
from notifications.recording.attempts import attempts_of
from notifications.recording.contacts import close_dead_contacts
from notifications.recording.decisions import write_decisions, write_hand_overs
from notifications.recording.enforcement import enforce_limits, write_digest_items
from notifications.recording.events import write_status_events
from notifications.recording.fallback import fall_back
from notifications.recording.late_results import resolve_uncertain, store_late_results
from notifications.recording.outcomes import Outcome, error_text, last_result
from notifications.recording.reports import store_simulated_receipts
from notifications.recording.tally import Tally

_STATE = ("pk", "status", "batch_id")


@dataclass(slots=True)
class Recording:
    """One transaction of the record: what it must write, and afterwards what it wrote.

    `transaction` writes the outcomes. Within its block, `journal` adds keys to journals.
    """

    #: The outcomes to record.
    outcomes: Sequence[Outcome]
    #: Leases of messages that are about to be sent: their batches are locked too.
    leaving: Sequence[Lease] = ()
    #: Outcomes whose batches another transaction had locked: they are recorded later.
    busy: list[Outcome] = field(default_factory=list)
    #: Outcomes whose batches were taken over: they are stored as late results.
    late: list[Outcome] = field(default_factory=list)
    #: Journals after the commit, where they changed.
    journals: dict[Lease, set[int]] = field(default_factory=dict)
    #: Keys that the commit settles.
    done: dict[Lease, set[int]] = field(default_factory=dict)
    #: Keys that the commit adds to journals.
    departing: Mapping[Lease, set[int]] = field(default_factory=dict)
    #: Batches that the transaction locked under a lease that had not run out.
    living: frozenset[int] = frozenset()
    #: Everything was written. The commit comes next, and its response may be lost.
    at_commit: bool = False

    @contextmanager
    def transaction(self, *, owner: str) -> Iterator[None]:
        """Records the outcomes under the fences of their leases.

        Within the block their batches and those of `leaving` are locked. The transaction commits at
        its end. A lease that only ran out still records. Outcomes of a batch that was taken over
        become late results and change no message. Outcomes of a locked batch are recorded later.

        The leases in memory change only after the commit, so a failed record can be repeated. The
        caller resolves the uncertain messages that `late` reports as sent.
        """
        leases = dict.fromkeys([*self.leaving, *(o.lease for o in self.outcomes)])
        if any(map(shows, self.outcomes)):
            keep_beat()
        with transaction.atomic():
            held = batches.lock_owned(list(leases), owner)
            self.living = held.living
            mine, self.busy, self.late = _sort(self.outcomes, held)
            tally = _write_outcomes(mine, self.late)
            yield
            _write_batches(self, mine)
            self.at_commit = True
        self.apply_to_leases()
        telemetry.count_messages(tally.by_status())

    def journal(self, keys: Mapping[Lease, set[int]]) -> None:
        """Adds keys to the journals of living batches, with the commit."""
        self.departing = keys

    def apply_to_leases(self) -> None:
        """Changes the leases in memory as the commit changed them in the database."""
        for lease, journal in self.journals.items():
            lease.journal = journal
        for lease, keys in self.done.items():
            lease.open_keys -= keys

    @property
    def settled(self) -> list[Outcome]:
        """The outcomes that need no further record."""
        left = {id(outcome) for outcome in self.busy}
        return [outcome for outcome in self.outcomes if id(outcome) not in left]


def record(outcomes: Sequence[Outcome], *, owner: str) -> Recording:
    """Records outcomes in a transaction of their own."""
    recording = Recording(outcomes)
    run(recording, owner=owner)
    resolve_uncertain(recording.late)
    return recording


def run(recording: Recording, *, owner: str) -> None:
    """Runs a recording that journals nothing."""
    with recording.transaction(owner=owner):
        pass


def _write_outcomes(mine: Sequence[Outcome], late: Sequence[Outcome]) -> Tally:
    """Writes outcomes and all rows that follow from them. Returns how many messages changed."""
    if late:
        store_late_results(late)
    standing, buckets = enforce_limits(mine)
    took = _apply(standing) if standing else set()
    write_arrivals(standing, took)
    _write_facts(standing, took)
    tally = Tally(standing, took, _provider)
    write_decisions(standing, took, tally.changes())
    write_hand_overs(standing, took)
    write_status_events(standing, took)
    fall_back(standing, took)
    _report_to_broadcasts(standing, took)
    if buckets:
        write_digest_items(standing, took, buckets)
    return tally


def _sort(
    outcomes: Sequence[Outcome], held: LockedBatches
) -> tuple[Sequence[Outcome], list[Outcome], list[Outcome]]:
    """Returns the outcomes to record now, those to record later, and those that are too late."""
    locked = held.locked
    if locked.issuperset({outcome.lease.batch_id for outcome in outcomes}):
        return outcomes, [], []
    mine: list[Outcome] = []
    busy: list[Outcome] = []
    late: list[Outcome] = []
    for outcome in outcomes:
        place = outcome.lease.batch_id
        (mine if place in locked else busy if place in held.busy else late).append(outcome)
    return mine, busy, late


def _write_batches(recording: Recording, mine: Sequence[Outcome]) -> None:
    """Writes changed journals, and deletes batches without open keys."""
    done, departing = recording.done, recording.departing
    for outcome in (*mine, *recording.late):
        done.setdefault(outcome.lease, set()).add(outcome.message.id)
    lost = {id(outcome.lease) for outcome in recording.late}
    changed: dict[int, str] = {}
    finished: list[int] = []
    for lease in {**done, **departing}:
        journal = (lease.journal - done.get(lease, set())) | departing.get(lease, set())
        if journal != lease.journal:
            recording.journals[lease] = journal
        if id(lease) in lost:
            continue
        if not lease.open_keys - done.get(lease, set()):
            finished.append(lease.batch_id)
        elif journal != lease.journal:
            changed[lease.batch_id] = pack_keys(journal)
    if changed:
        batches.statements().write_journals(changed)
    if finished:
        batches.statements().delete(finished)


def was_committed(recording: Recording, *, owner: str) -> bool:
    """Returns whether a transaction was committed whose commit got no response.

    It reads the journals that the transaction changed, else its messages. It waits for the end of
    the transaction. Where it cannot be known, it returns False: outcomes that are recorded twice
    change nothing, but outcomes that are not recorded are lost.
    """
    if not recording.at_commit:
        return False
    leases = list({**recording.done, **recording.journals})
    with transaction.atomic():
        found = batches.statements().read_journals(leases, owner)
    if any(lease.batch_id not in found for lease in recording.departing):
        return False  # taken over meanwhile: nothing of it may be sent
    for lease, journal in recording.journals.items():
        if lease.batch_id in found:
            return found[lease.batch_id] == pack_keys(journal)
    # A finished batch is deleted, and one that was taken over may be. Absence proves nothing.
    return _are_as_recorded(recording.outcomes)


def _are_as_recorded(outcomes: Sequence[Outcome]) -> bool:
    """Returns whether messages have the states of these outcomes, and retries another batch."""
    rows = NotificationMessage.objects.filter(pk__in=[outcome.message.id for outcome in outcomes])
    states = {key: (status, place) for key, status, place in rows.values_list(*_STATE)}
    return bool(outcomes) and all(
        (state := states.get(outcome.message.id)) is not None
        and state[0] == outcome.status
        and (outcome.again_at is None or state[1] != outcome.lease.batch_id)
        for outcome in outcomes
    )


def _apply(outcomes: Sequence[Outcome]) -> set[int]:
    moved = _rebatch(outcomes)
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
                moved.get(outcome.message.id),
                outcome.again_at,
                outcome.at if reached else None,
                outcome.at if delivered else None,
                outcome.lease.batch_id,
            )
        )
    return hot().apply_changes(changes)


def _rebatch(outcomes: Iterable[Outcome]) -> dict[int, int]:
    """Puts retries and deferrals into new batches by the second. Returns message id -> batch id."""
    groups: dict[tuple[str, str, str, datetime, bool, int], list[int]] = defaultdict(list)
    expires: dict[int, datetime] = {}
    for outcome in outcomes:
        if outcome.again_at is None:
            continue
        lease, due = outcome.lease, outcome.again_at.replace(microsecond=0)
        if due < outcome.again_at:
            due = outcome.again_at  # never earlier than requested; sub-second delays stay exact
        takeovers = lease.takeovers if outcome.alone else 0
        key = (lease.lane, lease.channel, lease.source, due, outcome.alone, takeovers)
        groups[key].append(outcome.message.id)
        if outcome.message.expires_at is not None:
            expires[outcome.message.id] = outcome.message.expires_at
    made: list[NewBatch] = []
    for (lane, channel, source, due, alone, takeovers), keys in groups.items():
        step = 1 if alone else BATCH_SIZE
        for start in range(0, len(keys), step):
            part = sorted(keys[start : start + step])
            first = min((expires[key] for key in part if key in expires), default=None)
            made.append(NewBatch(lane, channel, source, due, part, takeovers, alone, first))
    ids = batches.insert(made)
    return {key: made_id for batch, made_id in zip(made, ids, strict=True) for key in batch.keys}


def _write_facts(outcomes: Sequence[Outcome], took: set[int]) -> None:
    """Writes the rows beside the message: attempts, sandbox copies, dead letters, schedules."""
    changed = [o for o in outcomes if o.message.id in took]
    attempts = [row for o in changed if o.attempt and o.result for row in attempts_of(o, o.result)]
    if attempts:
        hot().insert_attempts(attempts)
    close_dead_contacts(changed)
    store_simulated_receipts(changed)
    copies = [_sandbox_copy(o) for o in changed if o.provider == "sandbox" and o.outbound]
    if copies:
        SandboxMessage.objects.bulk_create(copies, ignore_conflicts=True)
    dead = [_dead_letter(o) for o in changed if o.dead_code]
    if dead:
        DeadLetter.objects.bulk_create(dead)
        for letter in dead:
            telemetry.log_dead_letter(letter.message_id, letter.code, letter.attempts)
    scheduled = [
        o.message.notification_id
        for o in changed
        if o.message.scheduled_status == "pending" and o.status in REACHED
    ]
    if scheduled:
        change_scheduled(scheduled, ScheduledStatus.SENT)


def _report_to_broadcasts(outcomes: Sequence[Outcome], took: set[int]) -> None:
    """Reports changed recipients of broadcasts, to be counted again. Other slices cost nothing."""
    pairs = [
        (outcome.lease.source, outcome.message.notification_id)
        for outcome in outcomes
        if outcome.lease.source.startswith("broadcast:")
        and outcome.status is not MessageStatus.PENDING
        and outcome.message.id in took
    ]
    if pairs:
        BroadcastChange.objects.append(pairs)


def _sandbox_copy(outcome: Outcome) -> SandboxMessage:
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
        content=seal_json(content, outcome.key),
        at=outcome.at,
    )


def _provider(outcome: Outcome) -> str | None:
    """Returns the provider that accepted the message, or may have.

    After a definite refusal, the retry may use another provider.
    """
    uncertain = outcome.result is not None and outcome.result.verdict is Verdict.UNCERTAIN
    return outcome.provider if outcome.status is not MessageStatus.PENDING or uncertain else None


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
        last_result=None if result is None else seal_json(result, outcome.key),
        attempts=outcome.attempts,
        failed_at=outcome.at,
    )
