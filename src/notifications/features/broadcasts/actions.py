"""What may be done to a broadcast by hand. Each is one short transaction, whatever the number of
recipients; what follows of it is done by the upkeep (features/broadcasts/delivery/upkeep.py)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from directory.models import User
from directory.moments import MomentOutOfRange, check_moment
from notifications.domain.broadcast_lifecycle import CANCELLABLE, BroadcastStatus
from notifications.domain.channels import Priority, lane_for
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, Refused
from notifications.features.broadcasts.delivery.launch import (
    audience_of,
    begin,
    carry_on,
    check_terms,
    find_broadcast,
    rule_of,
)
from notifications.features.broadcasts.delivery.progress import Progress, progress
from notifications.features.broadcasts.delivery.retry import retry, retry_chosen
from notifications.infra import clock
from notifications.infra.process import wakeups
from notifications.models import Broadcast, change_broadcast_status

__all__ = [
    "Progress",
    "approve",
    "cancel",
    "launch",
    "pause",
    "progress",
    "reject",
    "resume",
    "retry",
    "retry_chosen",
    "schedule",
]
_S = BroadcastStatus
_AT_HAND_S = 0.2
"""So much of a launch is done before the answer; it is all of a small one."""


def launch(broadcast_id: int, *, now: datetime) -> Broadcast:
    """Sends a draft or scheduled broadcast now; the workers go on where this leaves off.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
        InvalidRequest: with every fault of audience, channels and category; no_recipients.
    """
    status = find_broadcast(broadcast_id).status
    if status not in (_S.DRAFT, _S.SCHEDULED):
        raise _wrong_status("send", status)
    return _launch(broadcast_id, now=now)


def _launch(broadcast_id: int, *, now: datetime) -> Broadcast:
    begin(broadcast_id, now=now)
    carry_on(broadcast_id, until=clock.monotonic() + _AT_HAND_S)
    return find_broadcast(broadcast_id)


def schedule(broadcast_id: int, *, at: datetime) -> Broadcast:
    """Plans a draft for a time: it is launched within a second of it.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
        InvalidRequest: what its launch would fail on, but for an audience that is still empty;
            time_out_of_range.
    """
    try:
        at = check_moment(at)
    except MomentOutOfRange as error:
        raise InvalidRequest([FieldError("scheduled_at", error.code, str(error))]) from error
    broadcast = find_broadcast(broadcast_id)
    check_terms(broadcast)
    rule_of(broadcast)
    _change(broadcast_id, "schedule", _S.SCHEDULED, {_S.DRAFT}, values={"scheduled_at": at})
    return find_broadcast(broadcast_id)


def pause(broadcast_id: int, *, now: datetime) -> Broadcast:
    """Holds a broadcast: what is in a provider's hands arrives, nothing else leaves.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    _change(broadcast_id, "pause", _S.PAUSED, {_S.SENDING}, values={"pace": []})
    return find_broadcast(broadcast_id)


def resume(broadcast_id: int, *, now: datetime) -> Broadcast:
    """Goes on with a paused broadcast.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    found = find_broadcast(broadcast_id)
    pace = [[now.timestamp(), found.tally.total - found.tally.pending]]
    _change(broadcast_id, "resume", _S.SENDING, {_S.PAUSED}, values={"pace": pace})
    wakeups.wake([lane_for(Priority(found.priority), mass=True)])
    return find_broadcast(broadcast_id)


def cancel(broadcast_id: int, *, now: datetime) -> Broadcast:
    """Ends a broadcast: nothing that is not in a provider's hands already leaves any more.

    What waits is taken back afterwards; until then its source is stopped.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    values = {"completed_at": now, "cleared": False}
    _change(broadcast_id, "cancel", _S.CANCELLED, CANCELLABLE, values=values)
    return find_broadcast(broadcast_id)


def approve(broadcast_id: int, *, by: User, now: datetime) -> Broadcast:
    """Lets a broadcast go: at its time where that is to come, at once otherwise.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
        Refused: self_approval; whoever wrote, changed or sent it does not approve it.
        InvalidRequest: as `launch`.
    """
    find_broadcast(broadcast_id)
    with transaction.atomic():  # locked, so that nobody is let in who has a hand in it meanwhile
        Broadcast.objects.select_for_update().get(pk=broadcast_id)
        waits = _approve(broadcast_id, by=by, now=now)
    if not waits:
        carry_on(broadcast_id, until=clock.monotonic() + _AT_HAND_S)
    return find_broadcast(broadcast_id)


def _approve(broadcast_id: int, *, by: User, now: datetime) -> bool:
    """Whether it waits for its time; the caller holds the row."""
    found = find_broadcast(broadcast_id)
    if found.status != _S.AWAITING_APPROVAL:
        raise _wrong_status("approve", found.status)
    if by.pk == found.created_by_id or by.pk in found.hands:
        detail = "A broadcast is approved by somebody who neither wrote, changed nor sent it"
        raise Refused(detail, code="self_approval")
    count = audience_of(found, now=now).count()
    values: dict[str, Any] = {"approved_by": by, "approved_count": count, "review_note": ""}
    if found.scheduled_at is not None and found.scheduled_at > now:
        check_terms(found)
        _change(broadcast_id, "approve", _S.SCHEDULED, {_S.AWAITING_APPROVAL}, values=values)
        return True
    begin(broadcast_id, now=now)
    Broadcast.objects.filter(pk=broadcast_id).update(**values)
    return False


def reject(broadcast_id: int, *, by: User, now: datetime, note: str) -> Broadcast:
    """Sends a broadcast back to its author as a draft, with the reason.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    values = {"review_note": note, "approved_by": None}
    _change(broadcast_id, "reject", _S.DRAFT, {_S.AWAITING_APPROVAL}, values=values)
    return find_broadcast(broadcast_id)


def _change(
    broadcast_id: int,
    verb: str,
    target: BroadcastStatus,
    sources: set[BroadcastStatus] | frozenset[BroadcastStatus],
    *,
    values: dict[str, Any],
) -> None:
    with transaction.atomic():
        moved = change_broadcast_status(
            broadcast_id, target, values=values, only_from=frozenset(sources)
        )
    if not moved:
        raise _wrong_status(verb, find_broadcast(broadcast_id).status)


def _wrong_status(verb: str, status: str) -> Conflict:
    return Conflict(f"Cannot {verb} broadcast with status {status}", code="broadcast_status")
