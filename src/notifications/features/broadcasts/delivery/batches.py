"""Sends a broadcast in the caller's process, batch by batch, until all of it is dispatched.

The documented classes use this (features/broadcasts/documented.py and
notifications/broadcast_batch.py). It creates the same recipients, messages and batches as every
launch. So a worker or another caller may do any part of the work at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction

from directory.audiences import Audience, list_of
from directory.models import User
from notifications.domain.broadcast_lifecycle import (
    EDITABLE,
    LAUNCHABLE,
    BroadcastStatus,
    status_when_settled,
)
from notifications.domain.channels import Lane, Priority, lane_for
from notifications.domain.errors import Conflict, InvalidRequest
from notifications.engine.lease_driver import deliver_leases, register_process
from notifications.features.broadcasts.delivery.fold import fold_changes
from notifications.features.broadcasts.delivery.intents import make_job
from notifications.features.broadcasts.delivery.launch import (
    begin,
    create_next_messages,
    find_broadcast,
    resolve_audience,
    set_list,
    write_snapshot,
)
from notifications.features.broadcasts.delivery.retry import requeue_part, retry
from notifications.features.broadcasts.delivery.upkeep import finish_if_settled
from notifications.infra import clock, ports
from notifications.infra.conf import environment
from notifications.infra.process.identity import own_name
from notifications.models import (
    BATCH_SIZE,
    Broadcast,
    BroadcastChange,
    DeliveryBatch,
    Job,
    change_broadcast_status,
    reserve_keys,
)
from notifications.models.sources.recipient_states import lock_launch
from notifications.models.sources.recipients import insert_recipients, recipients_without_messages
from notifications.queue import batches

_PAUSE_S = 0.05
_COUNT_WITHIN_S = 10.0
_OPEN_TO_PEOPLE = frozenset({*LAUNCHABLE, BroadcastStatus.SENDING, BroadcastStatus.PAUSED})
_SENDABLE = frozenset({BroadcastStatus.DRAFT, BroadcastStatus.SCHEDULED, BroadcastStatus.SENDING})


@dataclass(slots=True)
class BatchReport:
    """What one call did."""

    #: Recipients that are new, or that are retried.
    created: int = 0
    #: Batches that were processed.
    parts: int = 0
    #: What was wrong, as text.
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """How failed messages are retried."""

    #: The key of a policy of delivery/retry.py.
    policy: str
    #: The number of calls, the first included.
    calls: int


def add_recipients(broadcast_id: int, people: Sequence[int], *, size: int) -> BatchReport:
    """Adds people to a broadcast's recipients, `size` at a time. A repetition changes nothing.

    Ids that belong to no user are listed in errors and not added.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status, where it has ended.
    """
    _check_status(find_broadcast(broadcast_id), _OPEN_TO_PEOPLE, "add recipients to")
    report = BatchReport()
    for part in _parts(people, size):
        known = set(User.objects.filter(pk__in=part).values_list("pk", flat=True))
        report.errors += [f"There is no user {each}" for each in part if each not in known]
        report.created += _add_part(broadcast_id, sorted(known))
        report.parts += 1
    return report


def _add_part(broadcast_id: int, people: Sequence[int]) -> int:
    with transaction.atomic():
        lock_launch(broadcast_id)
        broadcast = find_broadcast(broadcast_id)
        _check_status(broadcast, _OPEN_TO_PEOPLE, "add recipients to")
        new = insert_recipients(broadcast_id, people, reserve_keys(len(people))) if people else 0
        if new:
            rows = Broadcast.objects.filter(pk=broadcast_id)
            known = broadcast.recipients.count()  # the old number may be a caller's own
            rows.update(recipient_count=known)
            rows.filter(messaged_done=True).update(messaged_done=False, messaged_after=0)
            rows.filter(messaged_after__gt=0).update(messaged_after=0)
    return new


def send_to(
    broadcast_id: int,
    target_group: str,
    target_filter: dict[str, Any] | None,
    *,
    size: int,
    now: datetime,
    retries: RetrySettings | None = None,
) -> BatchReport:
    """Sends a broadcast to an audience and returns when all of it is dispatched.

    A draft is launched to the audience; one that is sending also goes to its new members.
    Each part of `size` recipients is dispatched before the next is created. Messages that rate
    limits, quiet hours, kill switches or retries delay are left to the workers.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status; also where the audience is that of another list, and recipients
            without messages wait.
    """
    broadcast = find_broadcast(broadcast_id)
    _check_status(broadcast, _SENDABLE, "send")
    report = BatchReport()
    try:
        _launch_to(broadcast, target_group, target_filter, report, size=size, now=now)
        if retries is not None:
            _set_retries(broadcast_id, retries)
    except InvalidRequest as error:
        report.errors.append(error.detail)
        return report
    while not create_next_messages(broadcast_id, size):
        report.parts += 1
        deliver_and_wait(broadcast_id)
    deliver_and_wait(broadcast_id)
    count_and_finish(broadcast_id, now=clock.now())
    return report


def _launch_to(
    broadcast: Broadcast,
    group: str,
    target_filter: dict[str, Any] | None,
    report: BatchReport,
    *,
    size: int,
    now: datetime,
) -> None:
    chosen = target_filter
    if chosen is None:
        chosen = broadcast.target_filter if group == broadcast.target_group else {}
    wanted = Broadcast(target_group=group, target_filter=chosen)
    audience = resolve_audience(wanted, now=now)
    report.errors += [f"{each.reason}: {each.user}" for each in audience.missing]
    if broadcast.status != BroadcastStatus.SENDING:
        set_list(wanted, audience)
        _set_target(broadcast, wanted)
        begin(broadcast.pk, now=now)
        write_snapshot(broadcast.pk)
        return
    if broadcast.job_id is None:  # a caller wrote it with status `sending`
        _prepare_unlaunched(broadcast.pk, now=now)
    list_id = list_of(audience.rule)
    if list_id != broadcast.list_id:
        _message_all(broadcast.pk, size)  # those of the former audience are decided by its list
        _switch_list(broadcast.pk, list_id)
    _add_audience(broadcast.pk, audience)


def _switch_list(broadcast_id: int, list_id: int | None) -> None:
    """Sets the list that decides about the next recipients of a broadcast that is sending.

    Raises:
        Conflict: broadcast_status, where it was paused or has ended meanwhile, or where recipients
            without messages wait, about whom the former list decides.
    """
    with transaction.atomic():
        lock_launch(broadcast_id)
        broadcast = find_broadcast(broadcast_id)
        _check_status(broadcast, frozenset({BroadcastStatus.SENDING}), "send")
        waiting = recipients_without_messages(broadcast_id, after=0, limit=1)
        if waiting or not broadcast.snapshot_done:
            detail = "Cannot send broadcast to another list while recipients wait"
            raise Conflict(detail, code="broadcast_status")
        Broadcast.objects.filter(pk=broadcast_id).update(list_id=list_id, in_archive=False)


def _set_target(broadcast: Broadcast, wanted: Broadcast) -> None:
    """Stores the audience of a broadcast before its launch, and the list that it goes to.

    Recipients that it has already may be on no list, so that none decides about them.
    """
    values: dict[str, Any] = {"list_id": wanted.list_id, "in_archive": wanted.in_archive}
    if wanted.list_id != broadcast.list_id and broadcast.recipients.exists():
        values = {"list_id": None, "in_archive": False}
    # One that has begun or was sent to approval meanwhile is refused by `begin`.
    Broadcast.objects.filter(pk=broadcast.pk, status__in=EDITABLE).update(
        target_group=wanted.target_group, target_filter=wanted.target_filter, **values
    )


def _message_all(broadcast_id: int, size: int) -> None:
    """Creates the messages of everyone who is a recipient now."""
    write_snapshot(broadcast_id)
    while not create_next_messages(broadcast_id, size):
        pass


def _set_retries(broadcast_id: int, retries: RetrySettings) -> None:
    job = Job.objects.get(broadcast=broadcast_id)
    job.context = {
        **(job.context or {}),
        "options": {"retry_policy": retries.policy},
        "calls": retries.calls,
    }
    job.save(update_fields=["context"])


def _prepare_unlaunched(broadcast_id: int, *, now: datetime) -> None:
    """Sets what a launch would have set, where a caller wrote the broadcast itself."""
    with transaction.atomic():
        lock_launch(broadcast_id)
        broadcast = find_broadcast(broadcast_id)
        if broadcast.job_id is None:
            Broadcast.objects.filter(pk=broadcast_id).update(
                job=make_job(broadcast, now=now),
                snapshot_done=True,
                sent_at=broadcast.sent_at or now,
                pace=[[now.timestamp(), 0]],
            )


def _add_audience(broadcast_id: int, audience: Audience) -> None:
    for people in audience.stream(page=1_000):
        _add_part(broadcast_id, people)


def retry_now(broadcast_id: int, *, max_retries: int, size: int, policy: str) -> BatchReport:
    """Retries failed recipients and returns when that is dispatched; `created` counts them.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    now = clock.now()
    report = BatchReport(created=retry(broadcast_id, now=now, max_retries=max_retries))
    if not report.created:
        return report
    while not requeue_part(broadcast_id, policy=policy, size=size):
        report.parts += 1
        deliver_and_wait(broadcast_id)
    while not create_next_messages(broadcast_id, size):  # recipients who never had a message
        deliver_and_wait(broadcast_id)
    count_and_finish(broadcast_id, now=clock.now())
    return report


def deliver_and_wait(broadcast_id: int) -> None:
    """Delivers the due messages of a broadcast; waits for those that other processes deliver."""
    owner = own_name("broadcast")
    give_up_at = (
        clock.monotonic() + environment().lease_seconds + environment().provider_timeout_seconds
    )
    while True:
        broadcast = find_broadcast(broadcast_id)
        if broadcast.status != BroadcastStatus.SENDING:
            return
        lane = Lane(lane_for(Priority(broadcast.priority), mass=True))
        register_process(owner)
        leases = batches.lease_of_source(
            broadcast.source,
            owner=owner,
            lane=lane,
            seconds=environment().lease_seconds,
            budget=BATCH_SIZE,
        )
        if leases:
            async_to_sync(deliver_leases)(leases, owner=owner)
            continue
        held = DeliveryBatch.objects.filter(
            lane=lane, source=broadcast.source, owner__isnull=False, due_at__lte=clock.now()
        )
        if not held.exists() or clock.monotonic() >= give_up_at:
            return
        ports.sleep(_PAUSE_S)


def count_and_finish(broadcast_id: int, *, now: datetime) -> None:
    """Counts the changes of a broadcast's messages, and ends it where nothing is pending."""
    give_up_at = clock.monotonic() + _COUNT_WITHIN_S
    changes = BroadcastChange.objects.filter(broadcast_id=broadcast_id)
    while changes.exists() and clock.monotonic() < give_up_at:
        if broadcast_id not in fold_changes(now=now):
            ports.sleep(_PAUSE_S)  # another process counts at this moment
    finish_if_settled(find_broadcast(broadcast_id), now=now)


def set_counts(broadcast_id: int, *, sent: int, failed: int, now: datetime) -> None:
    """Sets the counters of a broadcast without recipient rows, and ends it when none is pending.

    Changes nothing where it does not exist or has recipient rows, which count themselves.
    """
    with transaction.atomic():
        lock_launch(broadcast_id)
        row = Broadcast.objects.select_for_update().filter(pk=broadcast_id).first()
        if row is None or row.recipients.exists():
            return
        values: dict[str, Any] = {
            "sent_count": max(0, sent),
            "failed_count": max(0, failed),
            "recipient_count": max(row.recipient_count, sent + failed),
        }
        Broadcast.objects.filter(pk=broadcast_id).update(**values)
        row.refresh_from_db()
        _end_if_settled(row, now=now)


def _end_if_settled(row: Broadcast, *, now: datetime) -> None:
    target = status_when_settled(row.tally, receipts_outstanding=False) if row.tally.total else None
    if target is not None:
        change_broadcast_status(
            row.pk,
            target,
            values={"completed_at": now},
            only_from=frozenset({BroadcastStatus.SENDING}),
        )


def _check_status(broadcast: Broadcast, allowed: frozenset[BroadcastStatus], verb: str) -> None:
    if broadcast.status not in allowed:
        raise Conflict(
            f"Cannot {verb} broadcast with status {broadcast.status}", code="broadcast_status"
        )


def _parts(people: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(people), size):
        yield list(people[start : start + size])
