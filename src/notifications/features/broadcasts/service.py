"""BroadcastDesk: what admins do with broadcasts. The work is that of broadcasts/actions.py;
here are who may, what is said, and when a second person must agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import pgettext

from directory.audiences import Missing
from directory.models import User
from notifications.domain.broadcast_lifecycle import EDITABLE, BroadcastStatus
from notifications.domain.callers import Caller
from notifications.domain.channels import Priority
from notifications.domain.errors import Conflict, NotFound, Refused
from notifications.domain.identifiers import parse_identifier
from notifications.features.access.service import check_test_key, missing_scope, people_behind
from notifications.features.broadcasts import actions
from notifications.features.broadcasts.body import nobody, read_changes, read_new
from notifications.features.broadcasts.delivery.approval import ask_approval, wants_approval
from notifications.features.broadcasts.delivery.launch import audience_of
from notifications.features.broadcasts.documented import cancel_message, retried, retried_chosen
from notifications.features.broadcasts.dry_run import UNKNOWN_SHOWN, dry_run, may_be_tried
from notifications.features.broadcasts.queries import broadcast_answer, detail
from notifications.features.broadcasts.schemas import (
    BroadcastCancelled,
    BroadcastCancelResponse,
    BroadcastDetailResponse,
    BroadcastDone,
    BroadcastProgress,
    BroadcastProgressResponse,
    BroadcastRetried,
    BroadcastRetriedChosen,
    BroadcastRetryChosenResponse,
    BroadcastRetryResponse,
    DryRunResponse,
)
from notifications.infra.database import commits
from notifications.models import Broadcast, OperatorAction, change_broadcast_status

SCOPE = "broadcasts"
_S = BroadcastStatus
_OPEN = frozenset({_S.DRAFT, _S.SCHEDULED})


class BroadcastDesk:
    """Every call of /api/admin/broadcasts/. Each change is written down with its actor."""

    def find(self, identifier: object, *, caller: Caller, to_change: bool = False) -> Broadcast:
        """A broadcast by integer id or UUID. to_change: whether something is done to it.

        Raises:
            Refused: missing_scope; test_key, for what a test key may not do.
            NotFound: unknown_broadcast.
        """
        check_scope(caller)
        key = parse_identifier(identifier)
        lookup = {"uuid" if isinstance(key, UUID) else "pk": key}
        rows = Broadcast.objects.select_related("created_by")
        found = rows.filter(**lookup).first() if key is not None else None
        if found is None:
            raise NotFound(f"Broadcast {identifier} not found", code="unknown_broadcast")
        if to_change:
            check_test_key(caller, is_test=found.is_test)
        return found

    def create(self, *, body: Mapping[str, Any], caller: Caller, now: datetime) -> BroadcastDone:
        """Makes a draft; sends or schedules it where the body says so.

        Raises:
            InvalidRequest: with every fault; no_recipients.
            Refused: missing_scope.
        """
        check_scope(caller)
        broadcast, send = read_new(body, now=now)
        check_priority(broadcast, caller)
        broadcast.recipient_count, missing = people_of(broadcast, now=now)
        broadcast.created_by_id = caller.user_id
        broadcast.hands = sorted(people_behind(caller))
        broadcast.is_test = caller.is_test
        with transaction.atomic():
            broadcast.save()
            commits.makes(broadcast_id=broadcast.pk)
            write_down(caller, "create", broadcast, now=now)
            if send or broadcast.scheduled_at:
                _go(broadcast, now=now)
        text = pgettext("broadcast", "The broadcast was created")
        return self.done(broadcast.pk, caller, text, missing)

    def change(
        self, identifier: object, *, body: Mapping[str, Any], caller: Caller, now: datetime
    ) -> BroadcastDone:
        """Changes a draft or scheduled broadcast. One that was approved must be approved again.

        Raises:
            InvalidRequest, Refused, NotFound; Conflict: broadcast_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            broadcast = Broadcast.objects.select_for_update().get(pk=key)
            if broadcast.status not in EDITABLE:
                raise wrong_status("edit", broadcast.status)
            values = read_changes(broadcast, body, now=now)
            check_priority(broadcast, caller)
            broadcast.recipient_count, missing = people_of(broadcast, now=now)
            broadcast.approved_by = None
            broadcast.hands = sorted({*broadcast.hands, *people_behind(caller)})
            kept = ("recipient_count", "approved_by", "hands", "updated_at")
            broadcast.save(update_fields=[*values, *kept])
            write_down(caller, "change", broadcast, now=now)
            _move_on(broadcast, rescheduled="scheduled_at" in values, now=now)
        return self.done(key, caller, pgettext("broadcast", "The broadcast was changed"), missing)

    def delete(self, identifier: object, *, caller: Caller, now: datetime) -> None:
        """Removes a draft or scheduled broadcast.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            broadcast = Broadcast.objects.select_for_update().get(pk=key)
            if broadcast.status not in EDITABLE:
                raise wrong_status("delete", broadcast.status)
            write_down(caller, "delete", broadcast, now=now)
            broadcast.delete()

    def detail(self, identifier: object, *, caller: Caller) -> BroadcastDetailResponse:
        """One broadcast with its first recipients."""
        return BroadcastDetailResponse(
            success=True, data=detail(self.find(identifier, caller=caller))
        )

    def progress(
        self, identifier: object, *, caller: Caller, now: datetime
    ) -> BroadcastProgressResponse:
        """How far a broadcast has come."""
        key = self.find(identifier, caller=caller).pk
        found = dataclasses.asdict(actions.progress(key, now=now))
        return BroadcastProgressResponse(success=True, data=BroadcastProgress(**found))

    def send(self, identifier: object, *, caller: Caller, now: datetime) -> BroadcastDone:
        """Launches a draft or scheduled broadcast now, or asks for the approval that it needs.

        Raises:
            InvalidRequest: no_recipients, and what else a launch fails on.
            Refused, NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        if broadcast.status not in _OPEN:
            raise wrong_status("send", broadcast.status)
        missing = audience_of(broadcast, now=now).missing
        with transaction.atomic():
            write_down(caller, "send", broadcast, now=now)
            _take_in_hand(broadcast, caller)
            if wants_approval(broadcast, now=now):
                _ask_approval(broadcast, {"scheduled_at": None})
                text = pgettext("broadcast", "The broadcast awaits approval")
            else:
                actions.launch(broadcast.pk, now=now)
                text = pgettext("broadcast", "The broadcast is being sent")
        return self.done(broadcast.pk, caller, text, missing)

    def dry_run(self, identifier: object, *, caller: Caller, now: datetime) -> DryRunResponse:
        """What sending a broadcast that was not launched yet would lead to; nothing is written.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller)
        if not may_be_tried(broadcast):
            raise wrong_status("dry-run", broadcast.status)
        return dry_run(broadcast, now=now)

    def dry_run_of_body(
        self, *, body: Mapping[str, Any], caller: Caller, now: datetime
    ) -> DryRunResponse:
        """The same for a broadcast that nobody saved.

        Raises:
            Refused: missing_scope.
            InvalidRequest: with every fault.
        """
        check_scope(caller)
        broadcast, _ = read_new(body, now=now)
        broadcast.is_test = caller.is_test
        return dry_run(broadcast, now=now)

    def cancel(
        self, identifier: object, *, caller: Caller, now: datetime
    ) -> BroadcastCancelResponse:
        """Stops what was not handed over.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        with transaction.atomic():
            cancelled = actions.cancel(broadcast.pk, now=now)
            write_down(caller, "cancel", broadcast, now=now)
        return BroadcastCancelResponse(
            success=True,
            data=BroadcastCancelled(
                success=True,
                message=cancel_message(),
                broadcast_id=cancelled.pk,
                cancelled_at=cancelled.completed_at or now,
            ),
        )

    def retry(self, identifier: object, *, caller: Caller, now: datetime) -> BroadcastRetryResponse:
        """Tries failed recipients again.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        with transaction.atomic():
            answer = retried(broadcast.pk, now=now)
            write_down(caller, "retry", broadcast, now=now)
        return BroadcastRetryResponse(success=True, data=BroadcastRetried(**answer))

    def retry_chosen(
        self, identifier: object, *, people: Sequence[int], caller: Caller, now: datetime
    ) -> BroadcastRetryChosenResponse:
        """Tries these failed recipients again, by user id; says who is not.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        with transaction.atomic():
            answer = retried_chosen(broadcast.pk, people, now=now)
            reason = f"{answer['retried_count']} of {len(people)} chosen"
            write_down(caller, "retry", broadcast, now=now, reason=reason)
        return BroadcastRetryChosenResponse(success=True, data=BroadcastRetriedChosen(**answer))

    def pause(self, identifier: object, *, caller: Caller, now: datetime) -> BroadcastDone:
        """Holds a broadcast.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            write_down(caller, "pause", actions.pause(key, now=now), now=now)
        return self.done(key, caller, pgettext("broadcast", "The broadcast was paused"))

    def resume(self, identifier: object, *, caller: Caller, now: datetime) -> BroadcastDone:
        """Goes on with a paused broadcast.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            write_down(caller, "resume", actions.resume(key, now=now), now=now)
        return self.done(key, caller, pgettext("broadcast", "The broadcast goes on"))

    def approve(self, identifier: object, *, caller: Caller, now: datetime) -> BroadcastDone:
        """Lets a broadcast go. Whoever wrote, changed or sent it, or holds a key that did, may not.

        Raises:
            Refused: self_approval, person_required, missing_scope.
            NotFound, InvalidRequest; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        with transaction.atomic():
            actions.approve(broadcast.pk, by=_person(caller), now=now)
            write_down(caller, "approve", broadcast, now=now)
        text = pgettext("broadcast", "The broadcast was approved")
        return self.done(broadcast.pk, caller, text)

    def reject(
        self, identifier: object, *, note: str, caller: Caller, now: datetime
    ) -> BroadcastDone:
        """Sends a broadcast back to its author as a draft.

        Raises:
            Refused: person_required, missing_scope.
            NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        with transaction.atomic():
            actions.reject(broadcast.pk, by=_person(caller), now=now, note=note)
            write_down(caller, "reject", broadcast, now=now)
        text = pgettext("broadcast", "The broadcast was sent back")
        return self.done(broadcast.pk, caller, text)

    def done(
        self, key: int, caller: Caller, message: str, missing: Sequence[Missing] = ()
    ) -> BroadcastDone:
        """The answer of what was done to a broadcast, which is read anew."""
        row = self.find(key, caller=caller)
        return BroadcastDone(
            success=True,
            data=broadcast_answer(row),
            message=message,
            unknown_count=len(missing),
            unknown_recipients=[str(each.user) for each in missing[:UNKNOWN_SHOWN]],
        )


def check_scope(caller: Caller) -> None:
    """Only staff, and keys with the scope.

    Raises:
        Refused: missing_scope.
    """
    if not caller.may(SCOPE):
        raise missing_scope(SCOPE)


def wrong_status(verb: str, status: str) -> Conflict:
    """The broadcast's status does not allow it."""
    return Conflict(f"Cannot {verb} broadcast with status {status}", code="broadcast_status")


def _go(broadcast: Broadcast, *, now: datetime) -> None:
    """Sends or schedules a draft, or asks for the approval that it needs."""
    if wants_approval(broadcast, now=now):
        _ask_approval(broadcast, {})
    elif broadcast.scheduled_at is not None:
        actions.schedule(broadcast.pk, at=broadcast.scheduled_at)
    else:
        actions.launch(broadcast.pk, now=now)


def _move_on(broadcast: Broadcast, *, rescheduled: bool, now: datetime) -> None:
    """The status that a changed broadcast gets."""
    if broadcast.status == _S.SCHEDULED:
        if broadcast.scheduled_at is None:
            change_broadcast_status(broadcast.pk, _S.DRAFT)
        elif wants_approval(broadcast, now=now):
            _ask_approval(broadcast, {})
    elif rescheduled and broadcast.scheduled_at is not None:
        _go(broadcast, now=now)


def _ask_approval(broadcast: Broadcast, values: dict[str, Any]) -> None:
    if not ask_approval(broadcast.pk, values):
        raise wrong_status("send", broadcast.status)


def people_of(broadcast: Broadcast, *, now: datetime) -> tuple[int, Sequence[Missing]]:
    """How many people it is meant for, and who of its lists is told nothing.

    Raises:
        InvalidRequest: no_recipients.
    """
    audience = audience_of(broadcast, now=now)
    count = audience.count()
    if not count:
        raise nobody(broadcast.target_group)
    return count, audience.missing


def check_priority(broadcast: Broadcast, caller: Caller) -> None:
    """Only who may overtake all others writes what does.

    Raises:
        Refused: missing_scope.
    """
    critical = "priority:critical"
    if broadcast.priority == Priority.CRITICAL and not caller.may(critical):
        raise missing_scope(critical)


def _take_in_hand(broadcast: Broadcast, caller: Caller) -> None:
    """Whoever sends a broadcast does not approve it."""
    row = Broadcast.objects.select_for_update().get(pk=broadcast.pk)
    row.hands = sorted({*row.hands, *people_behind(caller)})
    row.save(update_fields=["hands"])


def _person(caller: Caller) -> User:
    found = User.objects.filter(pk=caller.user_id).first() if caller.user_id else None
    if found is None:
        raise Refused("A broadcast is reviewed by a person, not by a key", code="person_required")
    return found


def write_down(
    caller: Caller, action: str, broadcast: Broadcast, *, now: datetime, reason: str = ""
) -> None:
    """Who did what to a broadcast. The caller is in the transaction that does it."""
    OperatorAction.objects.create(
        actor=caller.name,
        action=f"broadcast.{action}",
        target=str(broadcast.pk),
        reason=reason,
        at=now,
    )
