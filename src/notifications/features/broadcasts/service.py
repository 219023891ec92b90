"""BroadcastWorkflow: the calls of the API on broadcasts. It checks permissions, requests approvals,
writes the audit and builds the responses; broadcasts/actions.py changes the broadcasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import pgettext

from directory.audiences import Missing
from notifications.domain.broadcast_lifecycle import EDITABLE, BroadcastStatus
from notifications.domain.callers import Caller
from notifications.domain.channels import Priority
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.features.access.limits import check_category_keys
from notifications.features.access.persons import reviewer_of
from notifications.features.access.service import check_test_key, missing_scope, people_behind
from notifications.features.broadcasts import actions
from notifications.features.broadcasts.action_schemas import (
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
)
from notifications.features.broadcasts.body import no_recipients, read_changes, read_new
from notifications.features.broadcasts.delivery.approval import request_approval, requires_approval
from notifications.features.broadcasts.delivery.launch import OF_LIST, resolve_audience, set_list
from notifications.features.broadcasts.documented import (
    cancel_message,
    retry_and_start_task,
    retry_chosen_and_start_task,
)
from notifications.features.broadcasts.dry_run import SECONDS, UNKNOWN_SHOWN, can_dry_run, dry_run
from notifications.features.broadcasts.dry_run_schemas import DryRunResponse
from notifications.features.broadcasts.entries import NOT_RECORDED, write_audit_entry
from notifications.features.broadcasts.queries import broadcast_response, detail
from notifications.infra.database import commits
from notifications.models import Broadcast, change_broadcast_status
from notifications.models.audit.actions import values_of

SCOPE = "broadcasts"
_S = BroadcastStatus
_OPEN = frozenset({_S.DRAFT, _S.SCHEDULED})


class BroadcastWorkflow:
    """Every call of /api/admin/broadcasts/. The audit gets each change with its actor."""

    def find(self, identifier: object, *, caller: Caller, to_change: bool = False) -> Broadcast:
        """Returns a broadcast by integer id or UUID. to_change: whether the caller changes it.

        Raises:
            Refused: missing_scope; test_key or category_not_allowed, where the caller may not
                change it.
            NotFound: unknown_broadcast.
            Conflict: campaign_broadcast, where a campaign sends by it.
        """
        check_scope(caller)
        key = parse_identifier(identifier)
        lookup = {"uuid" if isinstance(key, UUID) else "pk": key}
        rows = Broadcast.objects.select_related("created_by")
        found = rows.filter(**lookup).first() if key is not None else None
        if found is None:
            raise NotFound(f"Broadcast {identifier} not found", code="unknown_broadcast")
        if to_change and found.campaign_id is not None:
            detail = "a campaign sends by this broadcast: change the campaign"
            raise Conflict(detail, code="campaign_broadcast")
        if to_change:
            check_test_key(caller, is_test=found.is_test)
            check_category_keys(caller, [found.category])
        return found

    def create(self, *, body: Mapping[str, Any], caller: Caller, now: datetime) -> BroadcastDone:
        """Creates a draft; sends or schedules it if the body says so.

        Raises:
            InvalidRequest: with every error; no_recipients.
            Refused: missing_scope.
        """
        check_scope(caller)
        broadcast, send = read_new(body, now=now)
        check_content(broadcast, caller)
        broadcast.recipient_count, missing = count_audience(broadcast, now=now)
        broadcast.created_by_id = caller.user_id
        broadcast.involved_user_ids = sorted(people_behind(caller))
        broadcast.is_test = caller.is_test
        with transaction.atomic():
            broadcast.save()
            commits.name_created(broadcast_id=broadcast.pk)
            write_audit_entry(caller, "create", broadcast, now=now)
            if send or broadcast.scheduled_at:
                _send_or_schedule(broadcast, now=now)
        text = pgettext("broadcast", "The broadcast was created")
        return self.build_response(broadcast.pk, caller, text, missing)

    def change(
        self, identifier: object, *, body: Mapping[str, Any], caller: Caller, now: datetime
    ) -> BroadcastDone:
        """Changes a draft or scheduled broadcast. An approved one must be approved again.

        Raises:
            InvalidRequest, Refused, NotFound; Conflict: broadcast_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            broadcast = Broadcast.objects.select_for_update().get(pk=key)
            if broadcast.status not in EDITABLE:
                raise actions.wrong_status("edit", broadcast.status)
            before = values_of(broadcast, without=NOT_RECORDED)
            values = read_changes(broadcast, body, now=now)
            check_content(broadcast, caller)
            broadcast.recipient_count, missing = count_audience(broadcast, now=now)
            broadcast.approved_by = None
            involved = {*broadcast.involved_user_ids, *people_behind(caller)}
            broadcast.involved_user_ids = sorted(involved)
            also = ("recipient_count", *OF_LIST, "approved_by", "involved_user_ids", "updated_at")
            broadcast.save(update_fields=[*values, *also])
            write_audit_entry(caller, "change", broadcast, now=now, before=before)
            _update_status(broadcast, rescheduled="scheduled_at" in values, now=now)
        text = pgettext("broadcast", "The broadcast was changed")
        return self.build_response(key, caller, text, missing)

    def delete(self, identifier: object, *, caller: Caller, now: datetime) -> None:
        """Deletes a draft or scheduled broadcast.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            broadcast = Broadcast.objects.select_for_update().get(pk=key)
            if broadcast.status not in EDITABLE:
                raise actions.wrong_status("delete", broadcast.status)
            write_audit_entry(caller, "delete", broadcast, now=now)
            broadcast.delete()

    def detail(self, identifier: object, *, caller: Caller) -> BroadcastDetailResponse:
        """Returns one broadcast with the first page of its recipients."""
        return BroadcastDetailResponse(
            success=True, data=detail(self.find(identifier, caller=caller))
        )

    def progress(
        self, identifier: object, *, caller: Caller, now: datetime
    ) -> BroadcastProgressResponse:
        """Returns how far a broadcast has come."""
        key = self.find(identifier, caller=caller).pk
        found = dataclasses.asdict(actions.progress(key, now=now))
        return BroadcastProgressResponse(success=True, data=BroadcastProgress(**found))

    def send(self, identifier: object, *, caller: Caller, now: datetime) -> BroadcastDone:
        """Launches a draft or scheduled broadcast now, or requests the approval that it needs.

        Raises:
            InvalidRequest: with every error of a launch; no_recipients.
            Refused, NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        if broadcast.status not in _OPEN:
            raise actions.wrong_status("send", broadcast.status)
        missing = resolve_audience(broadcast, now=now).missing
        with transaction.atomic():
            write_audit_entry(caller, "send", broadcast, now=now)
            broadcast = _add_involved(broadcast, caller)
            if requires_approval(broadcast, now=now):
                _request_approval(broadcast, {"scheduled_at": None})
                text = pgettext("broadcast", "The broadcast awaits approval")
            else:
                actions.launch(broadcast.pk, now=now)
                text = pgettext("broadcast", "The broadcast is being sent")
        return self.build_response(broadcast.pk, caller, text, missing)

    def dry_run(
        self, identifier: object, *, caller: Caller, now: datetime, seconds: float = SECONDS
    ) -> DryRunResponse:
        """Returns what sending a broadcast would do, before its launch; nothing is written.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller)
        if not can_dry_run(broadcast):
            raise actions.wrong_status("dry-run", broadcast.status)
        return dry_run(broadcast, now=now, seconds=seconds)

    def dry_run_of_body(
        self, *, body: Mapping[str, Any], caller: Caller, now: datetime, seconds: float = SECONDS
    ) -> DryRunResponse:
        """Returns the same for a broadcast that is not saved.

        Raises:
            Refused: missing_scope.
            InvalidRequest: with every error.
        """
        check_scope(caller)
        broadcast, _ = read_new(body, now=now)
        broadcast.is_test = caller.is_test
        return dry_run(broadcast, now=now, seconds=seconds)

    def cancel(
        self, identifier: object, *, caller: Caller, now: datetime
    ) -> BroadcastCancelResponse:
        """Cancels a broadcast: messages that are not in flight are not sent.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        with transaction.atomic():
            cancelled = actions.cancel(broadcast.pk, now=now)
            write_audit_entry(caller, "cancel", broadcast, now=now)
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
        """Retries failed recipients.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        with transaction.atomic():
            response = retry_and_start_task(broadcast.pk, now=now)
            write_audit_entry(caller, "retry", broadcast, now=now)
        return BroadcastRetryResponse(success=True, data=BroadcastRetried(**response))

    def retry_chosen(
        self, identifier: object, *, people: Sequence[int], caller: Caller, now: datetime
    ) -> BroadcastRetryChosenResponse:
        """Retries these failed recipients, given by user id; returns which are not retried.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        with transaction.atomic():
            response = retry_chosen_and_start_task(broadcast.pk, people, now=now)
            reason = f"{response['retried_count']} of {len(people)} chosen"
            write_audit_entry(caller, "retry", broadcast, now=now, reason=reason)
        return BroadcastRetryChosenResponse(success=True, data=BroadcastRetriedChosen(**response))

    def pause(self, identifier: object, *, caller: Caller, now: datetime) -> BroadcastDone:
        """Pauses a broadcast.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            write_audit_entry(caller, "pause", actions.pause(key, now=now), now=now)
        return self.build_response(key, caller, pgettext("broadcast", "The broadcast was paused"))

    def resume(self, identifier: object, *, caller: Caller, now: datetime) -> BroadcastDone:
        """Resumes a paused broadcast.

        Raises:
            Refused, NotFound; Conflict: broadcast_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            write_audit_entry(caller, "resume", actions.resume(key, now=now), now=now)
        return self.build_response(key, caller, pgettext("broadcast", "The broadcast was resumed"))

    def approve(self, identifier: object, *, caller: Caller, now: datetime) -> BroadcastDone:
        """Releases a broadcast. A person who wrote, changed or sent it may not, nor with a key.

        Raises:
            Refused: self_approval, person_required, missing_scope.
            NotFound, InvalidRequest; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        with transaction.atomic():
            actions.approve(broadcast.pk, by=reviewer_of("broadcast", caller), now=now)
            write_audit_entry(caller, "approve", broadcast, now=now)
        text = pgettext("broadcast", "The broadcast was approved")
        return self.build_response(broadcast.pk, caller, text)

    def reject(
        self, identifier: object, *, note: str, caller: Caller, now: datetime
    ) -> BroadcastDone:
        """Returns a broadcast to its author as a draft.

        Raises:
            Refused: person_required, missing_scope.
            NotFound; Conflict: broadcast_status.
        """
        broadcast = self.find(identifier, caller=caller, to_change=True)
        with transaction.atomic():
            actions.reject(broadcast.pk, by=reviewer_of("broadcast", caller), now=now, note=note)
            write_audit_entry(caller, "reject", broadcast, now=now)
        text = pgettext("broadcast", "The broadcast was sent back")
        return self.build_response(broadcast.pk, caller, text)

    def build_response(
        self, key: int, caller: Caller, message: str, missing: Sequence[Missing] = ()
    ) -> BroadcastDone:
        """Returns the response to a change of a broadcast, which is read anew."""
        row = self.find(key, caller=caller)
        return BroadcastDone(
            success=True,
            data=broadcast_response(row),
            message=message,
            unknown_count=len(missing),
            unknown_recipients=[str(each.user) for each in missing[:UNKNOWN_SHOWN]],
        )


def check_scope(caller: Caller) -> None:
    """Checks that the caller is staff, or a key with the scope. Raises Refused: missing_scope."""
    if not caller.may(SCOPE):
        raise missing_scope(SCOPE)


def _send_or_schedule(broadcast: Broadcast, *, now: datetime) -> None:
    """Sends or schedules a draft, or requests the approval that it needs."""
    if requires_approval(broadcast, now=now):
        _request_approval(broadcast, {})
    elif broadcast.scheduled_at is not None:
        actions.schedule(broadcast.pk, at=broadcast.scheduled_at)
    else:
        actions.launch(broadcast.pk, now=now)


def _update_status(broadcast: Broadcast, *, rescheduled: bool, now: datetime) -> None:
    """Moves a changed broadcast to the status that follows from its schedule."""
    if broadcast.status == _S.SCHEDULED:
        if broadcast.scheduled_at is None:
            change_broadcast_status(broadcast.pk, _S.DRAFT)
        elif requires_approval(broadcast, now=now):
            _request_approval(broadcast, {})
    elif rescheduled and broadcast.scheduled_at is not None:
        _send_or_schedule(broadcast, now=now)


def _request_approval(broadcast: Broadcast, values: dict[str, Any]) -> None:
    if not request_approval(broadcast.pk, values):
        raise actions.wrong_status("send", broadcast.status)


def count_audience(broadcast: Broadcast, *, now: datetime) -> tuple[int, Sequence[Missing]]:
    """Returns how many people the audience has, and the listed people who get nothing.

    Sets the columns of the broadcast's mailing list, and does not save them.

    Raises:
        InvalidRequest: no_recipients.
    """
    audience = resolve_audience(broadcast, now=now)
    set_list(broadcast, audience)
    count = audience.count()
    if not count:
        raise no_recipients(broadcast.target_group)
    return count, audience.missing


def check_content(broadcast: Broadcast, caller: Caller) -> None:
    """Checks the rights to a broadcast's category, and to critical priority, which overtakes all.

    Raises:
        Refused: missing_scope, category_not_allowed.
    """
    check_category_keys(caller, [broadcast.category])
    critical = "priority:critical"
    if broadcast.priority == Priority.CRITICAL and not caller.may(critical):
        raise missing_scope(critical)


def _add_involved(broadcast: Broadcast, caller: Caller) -> Broadcast:
    """Adds the caller to the involved people, who cannot approve; returns the row, now locked."""
    row = Broadcast.objects.select_for_update().get(pk=broadcast.pk)
    row.involved_user_ids = sorted({*row.involved_user_ids, *people_behind(caller)})
    row.save(update_fields=["involved_user_ids"])
    return row
