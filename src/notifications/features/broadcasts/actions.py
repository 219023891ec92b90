"""The actions on a broadcast: send, schedule, pause, resume, cancel, approve, reject, retry.

Each is one short transaction, whatever the number of recipients. A periodic loop does the rest
(features/broadcasts/delivery/upkeep.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from directory.models import User
from directory.moments import MomentOutOfRange, check_moment
from notifications.domain.broadcast_lifecycle import CANCELLABLE, BroadcastStatus
from notifications.domain.channels import Priority, lane_for
from notifications.domain.errors import Conflict, FieldError, InvalidRequest
from notifications.features.access.persons import check_second_person
from notifications.features.broadcasts.delivery.launch import (
    begin,
    check_terms,
    continue_launch,
    find_broadcast,
    read_rule,
    resolve_audience,
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
    "wrong_status",
]
_S = BroadcastStatus
_INLINE_LAUNCH_S = 0.2
"""Seconds of a launch that run before the response; a small broadcast is launched within them."""


def launch(broadcast_id: int, *, now: datetime) -> Broadcast:
    """Launches a draft or scheduled broadcast now; the workers continue what this does not finish.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
        InvalidRequest: with every error of audience, channels and category; no_recipients.
    """
    status = find_broadcast(broadcast_id).status
    if status not in (_S.DRAFT, _S.SCHEDULED):
        raise wrong_status("send", status)
    return _launch(broadcast_id, now=now)


def _launch(broadcast_id: int, *, now: datetime) -> Broadcast:
    begin(broadcast_id, now=now)
    continue_launch(broadcast_id, until=clock.monotonic() + _INLINE_LAUNCH_S)
    return find_broadcast(broadcast_id)


def schedule(broadcast_id: int, *, at: datetime) -> Broadcast:
    """Schedules a draft: it is launched within a second of the time `at`.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
        InvalidRequest: with every error that its launch would raise, except no_recipients;
            time_out_of_range.
    """
    try:
        at = check_moment(at)
    except MomentOutOfRange as error:
        raise InvalidRequest([FieldError("scheduled_at", error.code, str(error))]) from error
    broadcast = find_broadcast(broadcast_id)
    check_terms(broadcast)
    read_rule(broadcast)
    _change(broadcast_id, "schedule", _S.SCHEDULED, {_S.DRAFT}, values={"scheduled_at": at})
    return find_broadcast(broadcast_id)


def pause(broadcast_id: int, *, now: datetime) -> Broadcast:
    """Pauses a broadcast: messages in flight arrive, no other message is sent.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    _change(broadcast_id, "pause", _S.PAUSED, {_S.SENDING}, values={"pace": []})
    return find_broadcast(broadcast_id)


def resume(broadcast_id: int, *, now: datetime) -> Broadcast:
    """Resumes a paused broadcast.

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
    """Cancels a broadcast: messages in flight arrive, no other message is sent.

    A periodic loop cancels the waiting messages afterwards. Until then no worker sends them.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    values = {"completed_at": now, "cleared": False}
    _change(broadcast_id, "cancel", _S.CANCELLED, CANCELLABLE, values=values)
    return find_broadcast(broadcast_id)


def approve(broadcast_id: int, *, by: User, now: datetime) -> Broadcast:
    """Releases a broadcast: at its scheduled time if that is in the future, else at once.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
        Refused: self_approval, where `by` wrote, changed or sent it.
        InvalidRequest: as `launch`.
    """
    find_broadcast(broadcast_id)
    with transaction.atomic():  # the lock prevents a change of it during the check
        Broadcast.objects.select_for_update().get(pk=broadcast_id)
        waits = _approve(broadcast_id, by=by, now=now)
    if not waits:
        continue_launch(broadcast_id, until=clock.monotonic() + _INLINE_LAUNCH_S)
    return find_broadcast(broadcast_id)


def _approve(broadcast_id: int, *, by: User, now: datetime) -> bool:
    """Returns whether it waits for its scheduled time. The caller has locked the row."""
    found = find_broadcast(broadcast_id)
    if found.status != _S.AWAITING_APPROVAL:
        raise wrong_status("approve", found.status)
    check_second_person("broadcast", found, by=by)
    count = resolve_audience(found, now=now).count()
    values: dict[str, Any] = {"approved_by": by, "approved_count": count, "review_note": ""}
    if found.scheduled_at is not None and found.scheduled_at > now:
        check_terms(found)
        _change(broadcast_id, "approve", _S.SCHEDULED, {_S.AWAITING_APPROVAL}, values=values)
        return True
    begin(broadcast_id, now=now, only_from={_S.AWAITING_APPROVAL})
    Broadcast.objects.filter(pk=broadcast_id).update(**values)
    return False


def reject(broadcast_id: int, *, by: User, now: datetime, note: str) -> Broadcast:
    """Returns a broadcast to its author as a draft, with the reason.

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
        raise wrong_status(verb, find_broadcast(broadcast_id).status)


def wrong_status(verb: str, status: str) -> Conflict:
    """Returns the error that the broadcast's status does not allow the action."""
    return Conflict(f"Cannot {verb} broadcast with status {status}", code="broadcast_status")
