"""MailSeriesService: the calls of the API on series.

It checks permissions, locks the series, writes the audit and builds the responses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from notifications.domain.callers import Caller
from notifications.domain.campaigns.lifecycle import CampaignApproval
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.domain.series.lifecycle import OPEN, MailSeriesStatus, SeriesTrigger
from notifications.features.access.persons import check_second_person, reviewer_of
from notifications.features.access.service import check_test_key, people_behind, require_scope
from notifications.features.series import approval
from notifications.features.series.contents import (
    check_content_rights,
    check_steps,
    check_stored_rights,
    check_versions,
)
from notifications.features.series.drafts import (
    CHANGEABLE,
    apply_values,
    given_values,
    read_steps,
)
from notifications.features.series.finding import first_scan
from notifications.features.series.learned import check_learned
from notifications.features.series.responses import (
    recorded,
    series_response,
    write_audit_entry,
)
from notifications.features.series.schemas import (
    MailSeriesBody,
    MailSeriesChangeBody,
    MailSeriesResponse,
)
from notifications.features.series.versions import (
    Steps,
    drop_requested_version,
    requested_steps_of,
    steps_of,
    versions_in_use,
    write_version,
)
from notifications.infra.database import commits
from notifications.models import MailSeries

Check = Callable[[MailSeries], None]

SCOPE = "broadcasts"
MOST_OPEN = 200
"""How many series may be live or paused: each round looks at all of them."""
MOST_VERSIONS = 100
"""How often the steps of an open series may change: all versions are stored for those in them."""
_S = MailSeriesStatus


class MailSeriesService:
    """Reads, writes and controls series. Every change is in the audit log with its actor."""

    def find(self, identifier: object, *, caller: Caller, to_change: bool = False) -> MailSeries:
        """Returns a series by id or key. to_change: whether the caller changes it.

        Raises:
            Refused: missing_scope; test_key or category_not_allowed, where the caller may not
                change it.
            NotFound: unknown_series.
        """
        require_scope(caller, SCOPE)
        key = parse_identifier(identifier)
        lookup = {"uuid" if isinstance(key, UUID) else "pk": key}
        rows = MailSeries.objects.select_related("goal")
        found = rows.filter(**lookup).first() if key is not None else None
        if found is None:
            raise NotFound(f"there is no series {identifier}", code="unknown_series")
        if to_change:
            check_test_key(caller, is_test=found.is_test)
            _check_stored_categories(found, caller)
        return found

    def list(
        self, *, caller: Caller, status: str = "", after: int = 0, limit: int = 50
    ) -> Sequence[MailSeriesResponse]:
        """Returns series in ascending order of key: all, or those of one state.

        Raises:
            Refused: missing_scope.
        """
        require_scope(caller, SCOPE)
        rows = MailSeries.objects.filter(pk__gt=after).select_related("goal")
        rows = rows.filter(status=status) if status else rows
        found = list(rows.order_by("pk")[: max(1, limit)])
        steps, requested = steps_of(found), requested_steps_of(found)
        return [series_response(row, steps[row.pk], requested.get(row.pk)) for row in found]

    def get(self, *, identifier: object, caller: Caller) -> MailSeriesResponse:
        """Returns one series.

        Raises:
            Refused: missing_scope. NotFound: unknown_series.
        """
        row = self.find(identifier, caller=caller)
        return _shown(row, steps_of([row])[row.pk])

    def create(self, *, body: MailSeriesBody, caller: Caller, now: datetime) -> MailSeriesResponse:
        """Writes a draft.

        Raises:
            Refused: missing_scope, category_not_allowed.
            InvalidRequest: with every error.
        """
        require_scope(caller, SCOPE)
        row = MailSeries(created_at=now, created_by_id=caller.user_id, is_test=caller.is_test)
        steps = read_steps(body.steps)
        contents = apply_values(row, given_values(body), steps, now=now)
        check_content_rights(contents, caller)
        row.involved_user_ids = sorted(people_behind(caller))
        with transaction.atomic():
            row.save()
            write_version(row, row.version, steps, now=now)
            commits.name_created(series_id=row.uuid)
            after = recorded(row, steps)
            write_audit_entry(caller, "create", row, now=now, after=after)
        return series_response(row, steps)

    def change(
        self, *, identifier: object, body: MailSeriesChangeBody, caller: Caller, now: datetime
    ) -> MailSeriesResponse:
        """Changes a draft, or the name, the description and the steps of an open series.

        New steps of an open series are a new version: people go on with the one they entered with.
        Where the series needs approval, no one enters the new version before it. Each change of a
        draft withdraws the request. Only a person who may approve it may set `needs_approval` to
        false.

        Raises:
            Refused: self_approval, person_required, category_not_allowed, missing_scope.
            InvalidRequest, NotFound; Conflict: series_status; too_many, after MOST_VERSIONS.
        """
        given = given_values(body)

        def do(row: MailSeries, steps: Steps) -> Steps:
            may_change = row.status in OPEN and CHANGEABLE.issuperset(given)
            if row.status != _S.DRAFT and not may_change:
                raise approval.wrong_status("change", row)
            if row.needs_approval and body.needs_approval is False:
                check_second_person("series", row, by=reviewer_of("series", caller))
            wanted = read_steps(given["steps"]) if "steps" in given else steps
            check_content_rights(apply_values(row, given, wanted, now=now), caller)
            if row.status == _S.DRAFT:
                row.approval, row.requested = CampaignApproval.NONE.value, ""
                write_version(row, row.version, wanted, now=now)
            elif "steps" in given:
                wanted = _change_open(row, steps, wanted, now=now)
            row.save()
            return wanted

        return self._act("change", do, identifier, caller=caller, now=now)

    def delete(self, *, identifier: object, caller: Caller, now: datetime) -> None:
        """Deletes a draft.

        Raises:
            Refused, NotFound; Conflict: series_status.
        """
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            row = locked_series(key)
            if row.status != _S.DRAFT:
                raise approval.wrong_status("delete", row)
            before = recorded(row, steps_of([row])[key])
            write_audit_entry(caller, "delete", row, now=now, before=before)
            row.delete()

    def launch(
        self, *, identifier: object, caller: Caller, now: datetime, check: Check | None = None
    ) -> MailSeriesResponse:
        """Makes a draft live, or requests the approval that it needs. People enter from then on.

        check: is called with the locked series first; here and below its errors prevent it.

        Raises:
            InvalidRequest: with every error of its steps.
            Refused, NotFound; Conflict: series_status, also where MOST_OPEN are open.
        """

        def do(row: MailSeries, steps: Steps) -> Steps:
            if row.status != _S.DRAFT or row.requested:
                raise approval.wrong_status("launch", row)
            check_learned(steps)
            contents = check_steps(row, steps)
            check_content_rights(contents, caller)
            if approval.must_ask(row, contents):
                approval.request_approval(row, approval.LAUNCH)
            else:
                _go_live(row, now=now)
            return steps

        return self._act("launch", do, identifier, caller=caller, now=now, check=check)

    def pause(self, *, identifier: object, caller: Caller, now: datetime) -> MailSeriesResponse:
        """Pauses a live series: people still enter it, and no mail is handed over.

        Raises:
            Refused, NotFound; Conflict: series_status.
        """

        def do(row: MailSeries, steps: Steps) -> Steps:
            if not row.become(_S.PAUSED):
                raise approval.wrong_status("pause", row)
            return steps

        return self._act("pause", do, identifier, caller=caller, now=now)

    def resume(
        self, *, identifier: object, caller: Caller, now: datetime, check: Check | None = None
    ) -> MailSeriesResponse:
        """Resumes a paused series, or requests the approval that it needs.

        Raises:
            InvalidRequest: with every error of its steps, also of those that people entered with.
            Refused, NotFound; Conflict: series_status.
        """

        def do(row: MailSeries, steps: Steps) -> Steps:
            if row.status != _S.PAUSED or row.requested == approval.RESUME:
                raise approval.wrong_status("resume", row)
            contents = check_versions(row, versions_in_use(row))
            check_content_rights(contents, caller)
            if approval.must_ask(row, contents):
                approval.request_approval(row, approval.RESUME)
            else:
                row.become(_S.LIVE, error="")
            return steps

        return self._act("resume", do, identifier, caller=caller, now=now, check=check)

    def approve(
        self, *, identifier: object, caller: Caller, now: datetime, check: Check | None = None
    ) -> MailSeriesResponse:
        """Releases what was requested. Who wrote, changed or sent it may not, nor with a key.

        Raises:
            Refused: self_approval, person_required, category_not_allowed, missing_scope.
            NotFound; InvalidRequest: as `resume`; Conflict: series_status.
        """

        def do(row: MailSeries, steps: Steps) -> Steps:
            reviewer = reviewer_of("series", caller)
            if row.approval != CampaignApproval.REQUESTED:
                raise approval.wrong_status("approve", row)
            check_second_person("series", row, by=reviewer)
            wanted = requested_steps_of([row]).get(row.pk)
            row.version += wanted is not None
            contents = check_versions(row, versions_in_use(row))
            check_content_rights(contents, caller)
            released = approval.note_approval(row, contents, by=reviewer)
            if released == approval.LAUNCH:
                _go_live(row, now=now)
            elif released == approval.RESUME:
                row.become(_S.LIVE, error="")
            return wanted or steps

        return self._act(
            "approve", do, identifier, caller=caller, now=now, check=check, involves=False
        )

    def reject(
        self, *, identifier: object, note: str, caller: Caller, now: datetime
    ) -> MailSeriesResponse:
        """Returns a series, or a change of one, to its author.

        Raises:
            Refused: person_required, missing_scope. NotFound; Conflict: series_status.
        """

        def do(row: MailSeries, steps: Steps) -> Steps:
            reviewer_of("series", caller)
            approval.reject(row, note=note)
            return steps

        return self._act("reject", do, identifier, caller=caller, now=now, involves=False)

    def end(self, *, identifier: object, caller: Caller, now: datetime) -> MailSeriesResponse:
        """Ends a series for good: those who wait in it get nothing more.

        Raises:
            Refused, NotFound; Conflict: series_status.
        """

        def do(row: MailSeries, steps: Steps) -> Steps:
            if not row.become(_S.ENDED, ended_at=now, scan_at=None):
                raise approval.wrong_status("end", row)
            approval.withdraw_request(row)
            return steps

        return self._act("end", do, identifier, caller=caller, now=now)

    def _act(
        self,
        action: str,
        do: Callable[[MailSeries, Steps], Steps],
        identifier: object,
        *,
        caller: Caller,
        now: datetime,
        check: Check | None = None,
        involves: bool = True,
    ) -> MailSeriesResponse:
        """Runs an action under the lock of the series; it returns the steps of afterwards."""
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            row = locked_series(key)
            if check is not None:
                check(row)
            steps = steps_of([row])[key]
            before = recorded(row, steps)
            steps = do(row, steps)
            if involves:  # a sender cannot approve the series
                involved = {*row.involved_user_ids, *people_behind(caller)}
                row.store(involved_user_ids=sorted(involved))
            after = recorded(row, steps)
            write_audit_entry(caller, action, row, now=now, before=before, after=after)
        return _shown(row, steps)


def _shown(row: MailSeries, steps: Steps) -> MailSeriesResponse:
    return series_response(row, steps, requested_steps_of([row]).get(row.pk))


def _change_open(row: MailSeries, steps: Steps, wanted: Steps, *, now: datetime) -> Steps:
    """Gives an open series other steps, or requests their approval; returns those of from now on.

    Raises:
        Conflict: too_many, after MOST_VERSIONS.
    """
    if row.requested == approval.CHANGE:
        approval.withdraw_request(row)
    drop_requested_version(row)
    if wanted == steps:
        return steps
    number = row.version + 1
    if number > MOST_VERSIONS:
        detail = f"its steps have changed {MOST_VERSIONS} times: end it, write another"
        raise Conflict(detail, code="too_many")
    write_version(row, number, wanted, now=now)
    if approval.needs_approval(row):
        approval.request_approval(row, row.requested or approval.CHANGE)
        return steps
    row.version = number
    return wanted


def _go_live(row: MailSeries, *, now: datetime) -> None:
    """Makes a draft live.

    Raises:
        Conflict: series_status, where MOST_OPEN are open.
    """
    if MailSeries.objects.filter(status__in=OPEN).count() >= MOST_OPEN:
        raise Conflict(f"{MOST_OPEN} series are open: end one first", code="series_status")
    more = first_scan(now) if row.trigger == SeriesTrigger.DATE else {}
    row.become(_S.LIVE, launched_at=now, **more)


def locked_series(series_id: int) -> MailSeries:
    """Returns the row, locked until the caller's transaction ends.

    Raises:
        NotFound: unknown_series, where it was deleted meanwhile.
    """
    rows = MailSeries.objects.select_related("goal").filter(pk=series_id)
    found = rows.select_for_update(no_key=True, of=("self",)).first()
    if found is None:
        raise NotFound(f"there is no series {series_id}", code="unknown_series")
    return found


def _check_stored_categories(row: MailSeries, caller: Caller) -> None:
    """Checks the rights to what a series sends now, also to those who entered it earlier."""
    if caller.categories is not None:
        used = [step for steps, first in versions_in_use(row) for step in steps[first:]]
        check_stored_rights(row, used, caller)
