"""MailSeriesService: the calls of the API on series.

It checks permissions, locks the series, writes the audit and builds the responses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Min

from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.domain.series.lifecycle import OPEN, MailSeriesStatus, SeriesTrigger
from notifications.domain.series.steps import SeriesStep
from notifications.features.access.service import check_test_key, require_scope
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
from notifications.features.series.entries import recorded, write_audit_entry
from notifications.features.series.finding import first_scan
from notifications.features.series.responses import series_response
from notifications.features.series.schemas import (
    MailSeriesBody,
    MailSeriesChangeBody,
    MailSeriesResponse,
)
from notifications.infra.database import commits
from notifications.models import MailSeries, MailSeriesVersion, SeriesEnrollment

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
        steps = _steps_of(found)
        return [series_response(row, steps[row.pk]) for row in found]

    def get(self, *, identifier: object, caller: Caller) -> MailSeriesResponse:
        """Returns one series.

        Raises:
            Refused: missing_scope. NotFound: unknown_series.
        """
        row = self.find(identifier, caller=caller)
        return series_response(row, _steps_of([row])[row.pk])

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
        with transaction.atomic():
            row.save()
            _write_version(row, steps, now=now)
            commits.name_created(series_id=row.uuid)
            after = recorded(row, steps)
            write_audit_entry(caller, "create", row, now=now, after=after)
        return series_response(row, steps)

    def change(
        self, *, identifier: object, body: MailSeriesChangeBody, caller: Caller, now: datetime
    ) -> MailSeriesResponse:
        """Changes a draft, or the name, the description and the steps of an open series.

        New steps of an open series are a new version: people go on with the one they entered with.

        Raises:
            Refused: category_not_allowed, missing_scope.
            InvalidRequest, NotFound; Conflict: series_status; too_many, after MOST_VERSIONS.
        """
        given = given_values(body)

        def do(row: MailSeries, steps: Sequence[SeriesStep]) -> Sequence[SeriesStep]:
            may_change = row.status in OPEN and CHANGEABLE.issuperset(given)
            if row.status != _S.DRAFT and not may_change:
                raise wrong_status("change", row)
            wanted = read_steps(given["steps"]) if "steps" in given else steps
            check_content_rights(apply_values(row, given, wanted, now=now), caller)
            if wanted != steps:
                row.version += row.status in OPEN
                if row.version > MOST_VERSIONS:
                    detail = f"its steps have changed {MOST_VERSIONS} times: end it, write another"
                    raise Conflict(detail, code="too_many")
                _write_version(row, wanted, now=now)
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
                raise wrong_status("delete", row)
            before = recorded(row, _steps_of([row])[key])
            write_audit_entry(caller, "delete", row, now=now, before=before)
            row.delete()

    def launch(self, *, identifier: object, caller: Caller, now: datetime) -> MailSeriesResponse:
        """Makes a draft live: people enter from now on.

        Raises:
            InvalidRequest: with every error of its steps.
            Refused, NotFound; Conflict: series_status, also where MOST_OPEN are open.
        """

        def do(row: MailSeries, steps: Sequence[SeriesStep]) -> Sequence[SeriesStep]:
            if row.status != _S.DRAFT:
                raise wrong_status("launch", row)
            if MailSeries.objects.filter(status__in=OPEN).count() >= MOST_OPEN:
                raise Conflict(f"{MOST_OPEN} series are open: end one first", code="series_status")
            check_content_rights(check_steps(row, steps), caller)
            more = first_scan(now) if row.trigger == SeriesTrigger.DATE else {}
            row.become(_S.LIVE, launched_at=now, **more)
            return steps

        return self._act("launch", do, identifier, caller=caller, now=now)

    def pause(self, *, identifier: object, caller: Caller, now: datetime) -> MailSeriesResponse:
        """Pauses a live series: people still enter it, and no mail is handed over.

        Raises:
            Refused, NotFound; Conflict: series_status.
        """
        return self._become("pause", _S.PAUSED, identifier, caller=caller, now=now)

    def resume(self, *, identifier: object, caller: Caller, now: datetime) -> MailSeriesResponse:
        """Resumes a paused series.

        Raises:
            InvalidRequest: with every error of its steps, also of those that people entered with.
            Refused, NotFound; Conflict: series_status.
        """

        def do(row: MailSeries, steps: Sequence[SeriesStep]) -> Sequence[SeriesStep]:
            if row.status != _S.PAUSED:
                raise wrong_status("resume", row)
            check_content_rights(check_versions(row, _versions_in_use(row)), caller)
            row.become(_S.LIVE, error="")
            return steps

        return self._act("resume", do, identifier, caller=caller, now=now)

    def end(self, *, identifier: object, caller: Caller, now: datetime) -> MailSeriesResponse:
        """Ends a series for good: those who wait in it get nothing more.

        Raises:
            Refused, NotFound; Conflict: series_status.
        """
        more = {"ended_at": now, "scan_at": None}
        return self._become("end", _S.ENDED, identifier, caller=caller, now=now, **more)

    def _become(
        self,
        action: str,
        target: MailSeriesStatus,
        identifier: object,
        *,
        caller: Caller,
        now: datetime,
        **values: Any,
    ) -> MailSeriesResponse:
        def do(row: MailSeries, steps: Sequence[SeriesStep]) -> Sequence[SeriesStep]:
            if not row.become(target, **values):
                raise wrong_status(action, row)
            return steps

        return self._act(action, do, identifier, caller=caller, now=now)

    def _act(
        self,
        action: str,
        do: Callable[[MailSeries, Sequence[SeriesStep]], Sequence[SeriesStep]],
        identifier: object,
        *,
        caller: Caller,
        now: datetime,
    ) -> MailSeriesResponse:
        """Runs an action under the lock of the series; it returns the steps of afterwards."""
        key = self.find(identifier, caller=caller, to_change=True).pk
        with transaction.atomic():
            row = locked_series(key)
            steps = _steps_of([row])[key]
            before = recorded(row, steps)
            steps = do(row, steps)
            after = recorded(row, steps)
            write_audit_entry(caller, action, row, now=now, before=before, after=after)
        return series_response(row, steps)


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


def wrong_status(verb: str, row: MailSeries) -> Conflict:
    """Returns the error that the state of a series does not allow an action."""
    detail = f"cannot {verb} a series with status {row.status}"
    return Conflict(detail, code="series_status", status=row.status)


def _steps_of(rows: Sequence[MailSeries]) -> dict[int, Sequence[SeriesStep]]:
    """Returns the steps that people enter now, by the key of a series."""
    current = {row.pk: row.version for row in rows}
    versions = MailSeriesVersion.objects.filter(
        series_id__in=list(current), number__in=set(current.values())
    )
    return {
        each.series_id: each.read_steps()
        for each in versions
        if each.number == current[each.series_id]
    }


def _write_version(row: MailSeries, steps: Sequence[SeriesStep], *, now: datetime) -> None:
    """Writes the steps of a new version, or replaces those of a draft."""
    MailSeriesVersion.objects.update_or_create(
        series=row,
        number=row.version,
        defaults={"steps": [step.stored() for step in steps], "created_at": now},
    )


def _check_stored_categories(row: MailSeries, caller: Caller) -> None:
    """Checks the rights to what a series sends now, also to those who entered it earlier."""
    if caller.categories is not None:
        used = [step for steps, first in _versions_in_use(row) for step in steps[first:]]
        check_stored_rights(row, used, caller)


def _versions_in_use(row: MailSeries) -> list[tuple[Sequence[SeriesStep], int]]:
    """Returns the steps of each version that people enter or wait in, and the first one they get.

    Of an earlier version, the steps that all have passed are not sent any more.
    """
    waiting = SeriesEnrollment.objects.filter(series=row, due_at__isnull=False).order_by()
    places = waiting.values_list("version").annotate(first=Min("position"))
    first = {**dict(places), row.version: 0}
    versions = MailSeriesVersion.objects.filter(series=row, number__in=list(first))
    return [(each.read_steps(), first[each.number]) for each in versions.order_by("number")]
