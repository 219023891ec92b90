"""CampaignService: the calls of the API on campaigns.

It checks permissions, locks the campaign, writes the audit and builds the responses;
campaigns/actions.py changes the campaign.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from notifications.domain.callers import Caller
from notifications.domain.campaigns.lifecycle import EDITABLE, CampaignStatus
from notifications.domain.errors import InvalidRequest, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.features.access.persons import check_second_person, reviewer_of
from notifications.features.access.service import (
    check_test_key,
    people_behind,
    require_scope,
)
from notifications.features.campaigns import actions
from notifications.features.campaigns.contents import check_content_rights, check_stored_categories
from notifications.features.campaigns.drafts import apply_values, given_values
from notifications.features.campaigns.entries import recorded, write_audit_entry
from notifications.features.campaigns.placing import begin_due_now, place_audience
from notifications.features.campaigns.responses import campaign_response
from notifications.features.campaigns.schemas import (
    CampaignBody,
    CampaignChangeBody,
    CampaignResponse,
    CampaignScheduleBody,
)
from notifications.infra import clock
from notifications.infra.database import commits
from notifications.models import Campaign

SCOPE = "broadcasts"
Check = Callable[[Campaign], None]
_INLINE_S = 0.2
"""Seconds of a launch that run before the response; a small campaign is placed within them."""
_COPIED = (
    "description",
    "needs_approval",
    "audience",
    "exclude",
    "template_path",
    "context",
    "category",
    "channels",
    "delivery",
    "priority",
    "late_zones",
    "per_minute",
    "holdout_percent",
    "send_time",
    "send_window_hours",
    "send_at_night",
    "channel_choice",
    "learning_holdout_percent",
    "ab_test",
    "track_opens",
    "track_clicks",
    "utm",
)
_COPY = " (copy)"
log = structlog.get_logger("carillon.campaigns")


class CampaignService:
    """Reads, writes and controls campaigns. Every change is in the audit log with its actor."""

    def find(
        self,
        identifier: object,
        *,
        caller: Caller,
        to_change: bool = False,
        without: Sequence[str] = (),
    ) -> Campaign:
        """Returns a campaign by id or key. to_change: whether the caller changes it.

        without: columns that are read only where they are used.

        Raises:
            Refused: missing_scope; test_key or category_not_allowed, where the caller may not
                change it.
            NotFound: unknown_campaign.
        """
        require_scope(caller, SCOPE)
        key = parse_identifier(identifier)
        lookup = {"uuid" if isinstance(key, UUID) else "pk": key}
        rows = Campaign.objects.defer(*without)
        found = rows.filter(**lookup).first() if key is not None else None
        if found is None:
            raise NotFound(f"there is no campaign {identifier}", code="unknown_campaign")
        if to_change:
            check_test_key(caller, is_test=found.is_test)
            check_stored_categories(found, caller)
        return found

    def list(
        self, *, caller: Caller, status: str = "", after: int = 0, limit: int = 50
    ) -> Sequence[CampaignResponse]:
        """Returns campaigns in ascending order of key: all, or those of one state.

        Raises:
            Refused: missing_scope.
        """
        require_scope(caller, SCOPE)
        rows = Campaign.objects.filter(pk__gt=after)
        rows = rows.filter(status=status) if status else rows
        return [campaign_response(row) for row in rows.order_by("pk")[: max(1, limit)]]

    def get(self, *, identifier: object, caller: Caller) -> CampaignResponse:
        """Returns one campaign.

        Raises:
            Refused: missing_scope. NotFound: unknown_campaign.
        """
        return campaign_response(self.find(identifier, caller=caller))

    def create(self, *, body: CampaignBody, caller: Caller, now: datetime) -> CampaignResponse:
        """Writes a draft.

        Raises:
            Refused: missing_scope, category_not_allowed.
            InvalidRequest: with every error.
        """
        require_scope(caller, SCOPE)
        row = Campaign(created_at=now, created_by_id=caller.user_id, is_test=caller.is_test)
        content = apply_values(row, given_values(body), now=now)
        check_content_rights(row, content, caller)
        row.involved_user_ids = sorted(people_behind(caller))
        return self._save_new(row, "create", caller=caller, now=now)

    def duplicate(self, *, identifier: object, caller: Caller, now: datetime) -> CampaignResponse:
        """Writes a draft with a campaign's content and audience, but neither time nor results.

        All who were involved in the first are involved in the copy, because no author may approve
        their own text.

        Raises:
            Refused, NotFound; InvalidRequest: what it names does not exist any more.
        """
        first = self.find(identifier, caller=caller)
        row = Campaign(created_at=now, created_by_id=caller.user_id, is_test=caller.is_test)
        row.name = first.name[: 100 - len(_COPY)] + _COPY
        for name in _COPIED:
            setattr(row, name, getattr(first, name))
        content = apply_values(row, {}, now=now)
        check_content_rights(row, content, caller)
        writers = {*first.involved_user_ids, first.created_by_id} - {None}
        row.involved_user_ids = sorted({*writers, *people_behind(caller)})
        return self._save_new(row, "duplicate", caller=caller, now=now, reason=f"of {first.uuid}")

    def _save_new(
        self, row: Campaign, action: str, *, caller: Caller, now: datetime, reason: str = ""
    ) -> CampaignResponse:
        with transaction.atomic():
            row.save()
            commits.name_created(campaign_id=row.uuid)
            write_audit_entry(caller, action, row, now=now, reason=reason)
        return campaign_response(row)

    def change(
        self, *, identifier: object, body: CampaignChangeBody, caller: Caller, now: datetime
    ) -> CampaignResponse:
        """Changes a draft or scheduled campaign. An approved one must be approved again.

        Only a person who may approve it may set `needs_approval` to false.

        Raises:
            Refused: self_approval, person_required, category_not_allowed, missing_scope.
            InvalidRequest, NotFound; Conflict: campaign_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            row = actions.locked_campaign(key)
            if row.status not in EDITABLE:
                raise actions.wrong_status("change", row)
            before = recorded(row)
            if row.needs_approval and body.needs_approval is False:
                check_second_person("campaign", row, by=reviewer_of("campaign", caller))
            content = apply_values(row, given_values(body), now=now)
            check_content_rights(row, content, caller)
            _involve(row, caller)
            row.save()
            actions.changed(row, now=now)
            write_audit_entry(caller, "change", row, now=now, before=before)
        return campaign_response(row)

    def delete(self, *, identifier: object, caller: Caller, now: datetime) -> None:
        """Deletes a draft or scheduled campaign.

        Raises:
            Refused, NotFound; Conflict: campaign_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            row = actions.locked_campaign(key)
            if row.status not in EDITABLE:
                raise actions.wrong_status("delete", row)
            write_audit_entry(caller, "delete", row, now=now)
            row.delete()

    def schedule(
        self,
        *,
        identifier: object,
        body: CampaignScheduleBody,
        caller: Caller,
        now: datetime,
        check: Check | None = None,
    ) -> CampaignResponse:
        """Schedules a draft, or requests the approval that it needs.

        check: is called with the locked campaign first; here and below its errors prevent it.

        Raises:
            InvalidRequest, Refused, NotFound; Conflict: campaign_status.
        """

        def do(row: Campaign) -> None:
            given = given_values(body)
            if given and row.status == CampaignStatus.DRAFT:
                apply_values(row, given, now=now)
                row.save()
                actions.changed(row, now=now)
            actions.schedule(row, now=now)

        return self._act("schedule", do, identifier, caller=caller, now=now, check=check)

    def launch(
        self, *, identifier: object, caller: Caller, now: datetime, check: Check | None = None
    ) -> CampaignResponse:
        """Begins a draft or scheduled campaign now, or requests the approval that it needs.

        Raises:
            InvalidRequest, Refused, NotFound; Conflict: campaign_status.
        """
        return self._act(
            "launch",
            lambda row: actions.launch(row, now=now),
            identifier,
            caller=caller,
            now=now,
            check=check,
        )

    def pause(self, *, identifier: object, caller: Caller, now: datetime) -> CampaignResponse:
        """Pauses a running campaign.

        Raises:
            Refused, NotFound; Conflict: campaign_status.
        """
        return self._act("pause", actions.pause, identifier, caller=caller, now=now)

    def resume(self, *, identifier: object, caller: Caller, now: datetime) -> CampaignResponse:
        """Resumes a paused campaign.

        Raises:
            Refused, NotFound; Conflict: campaign_status.
        """
        return self._act(
            "resume", lambda row: actions.resume(row, now=now), identifier, caller=caller, now=now
        )

    def cancel(self, *, identifier: object, caller: Caller, now: datetime) -> CampaignResponse:
        """Cancels a campaign: messages that are not in flight are not sent.

        Raises:
            Refused, NotFound; Conflict: campaign_status.
        """
        return self._act(
            "cancel", lambda row: actions.cancel(row, now=now), identifier, caller=caller, now=now
        )

    def approve(
        self, *, identifier: object, caller: Caller, now: datetime, check: Check | None = None
    ) -> CampaignResponse:
        """Releases a campaign. A person who wrote, changed or sent it may not, nor with a key.

        Raises:
            Refused: self_approval, person_required, missing_scope.
            NotFound, InvalidRequest; Conflict: campaign_status.
        """
        return self._act(
            "approve",
            lambda row: actions.approve(row, by=reviewer_of("campaign", caller), now=now),
            identifier,
            caller=caller,
            now=now,
            involves=False,
            check=check,
        )

    def reject(
        self, *, identifier: object, note: str, caller: Caller, now: datetime
    ) -> CampaignResponse:
        """Returns a campaign to its author.

        Raises:
            Refused: person_required, missing_scope.
            NotFound; Conflict: campaign_status.
        """

        def do(row: Campaign) -> None:
            reviewer_of("campaign", caller)
            actions.reject(row, note=note)

        return self._act(
            "reject",
            do,
            identifier,
            caller=caller,
            now=now,
            involves=False,
        )

    def _act(
        self,
        action: str,
        do: Callable[[Campaign], None],
        identifier: object,
        *,
        caller: Caller,
        now: datetime,
        involves: bool = True,
        check: Check | None = None,
    ) -> CampaignResponse:
        """Runs an action under the lock of the campaign, and goes on with what it began."""
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            row = actions.locked_campaign(key)
            if check is not None:
                check(row)
            before = recorded(row)
            if involves:
                _involve(row, caller)
            do(row)
            row.store(involved_user_ids=row.involved_user_ids)
            write_audit_entry(caller, action, row, now=now, before=before)
        if row.status == CampaignStatus.RUNNING and not row.placed_done:
            _begin_inline(key, now=now)
            row.refresh_from_db()
        return campaign_response(row)


def _begin_inline(campaign_id: int, *, now: datetime) -> None:
    """Places the audience of a campaign, as far as there is time, and begins what is due.

    The action is committed, so that no error of this may be its response. The periodic loop tries
    again, and shows the reason in the campaign.
    """
    until = clock.monotonic() + _INLINE_S
    try:
        if place_audience(campaign_id, until=until):
            begin_due_now(campaign_id, now=now, until=until)
    except Exception as error:
        reason = error.detail if isinstance(error, InvalidRequest) else type(error).__name__
        log.warning("campaign.left_to_loop", campaign=campaign_id, error=reason)


def _involve(row: Campaign, caller: Caller) -> None:
    """Adds the caller to the involved people, because a sender cannot approve the campaign."""
    row.involved_user_ids = sorted({*row.involved_user_ids, *people_behind(caller)})
