"""SeriesService: lists and ends series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.features.access.service import check_test_key
from notifications.features.scheduling.schemas import SeriesCancelResponse, SeriesResponse
from notifications.features.sending.cancel import cancel_many
from notifications.infra import clock
from notifications.models import (
    Notification,
    ScheduleClock,
    ScheduledStatus,
    ScheduleMember,
    ScheduleOccurrence,
    ScheduleSeries,
    SeriesStatus,
)
from notifications.models.audit.actions import record_change

READ = "notifications:read"
LOOKED_BACK = timedelta(days=30)
"""How long after its time an occurrence may have waiting messages, by retries or preferences."""

_AT_ONCE = 1_000


class SeriesService:
    """The calls on series. Users and keys see their own series; staff sees all."""

    def list(self, *, caller: Caller, after: int = 0, limit: int = 50) -> Sequence[SeriesResponse]:
        """Returns series by rising key."""
        rows = _counted(_visible(caller)).filter(pk__gt=after).order_by("pk")[:limit]
        return [_build_response(row) for row in rows]

    def get(self, *, identifier: object, caller: Caller) -> SeriesResponse:
        """Returns one series, by id or uuid.

        Raises:
            NotFound: unknown_schedule.
        """
        return _build_response(_counted(_visible(caller)).get(pk=_find(identifier, caller).pk))

    def cancel(self, *, identifier: object, caller: Caller) -> SeriesCancelResponse:
        """Ends a series and cancels its notifications that are not sent yet.

        Raises:
            NotFound: unknown_schedule.
            Conflict: not_active when it was cancelled before.
        """
        found, now = _find(identifier, caller), clock.now()
        check_test_key(caller, is_test=found.is_test)
        with transaction.atomic():
            # A process that creates an occurrence needs this lock: none is created meanwhile.
            locked = ScheduleSeries.objects.select_for_update().get(pk=found.pk)
            if locked.status == SeriesStatus.CANCELLED:
                raise Conflict("the schedule is already cancelled", code="not_active")
            ScheduleSeries.objects.filter(pk=found.pk).update(
                status=SeriesStatus.CANCELLED, ended_at=now
            )
            locked.clocks.update(make_at=None)
            record_change(
                actor=caller.name,
                action="schedule.cancelled",
                target=f"schedule:{found.uuid}",
                at=now,
            )
        keys, cancelled = _pending_keys(found, now=now), 0
        for start in range(0, len(keys), _AT_ONCE):
            cancelled += cancel_many(keys[start : start + _AT_ONCE], by=caller.name, now=now)
        return SeriesCancelResponse(
            id=found.uuid, status=SeriesStatus.CANCELLED, cancelled=cancelled
        )


def _pending_keys(found: ScheduleSeries, *, now: datetime) -> list[int]:
    """Returns the keys of a series' pending notifications; an occurrence's are in one range."""
    rows = ScheduleOccurrence.objects.filter(
        series=found, due_at__gt=now - LOOKED_BACK, job__isnull=False
    ).order_by("due_at")
    keys: list[int] = []
    for job, first, last in rows.values_list("job_id", "job__first_key", "job__last_key"):
        waiting = Notification.objects.filter(
            pk__range=(first, last), job_id=job, scheduled_status=ScheduledStatus.PENDING
        )
        keys += waiting.order_by("pk").values_list("pk", flat=True)
    return keys


def _visible(caller: Caller) -> QuerySet[ScheduleSeries]:
    rows = ScheduleSeries.objects.all()
    if caller.may(READ):
        return rows
    return rows.filter(source=caller.source) if caller.is_service else _own(rows, caller)


def _own(rows: QuerySet[ScheduleSeries], caller: Caller) -> QuerySet[ScheduleSeries]:
    return rows.filter(owner_id=caller.user_id) if caller.user_id is not None else rows.none()


def _counted(rows: QuerySet[ScheduleSeries]) -> QuerySet[ScheduleSeries]:
    """Adds next_at and recipients. One join of both would read members times zones."""
    waiting = ScheduleClock.objects.filter(series=OuterRef("pk"), next_at__isnull=False)
    members = ScheduleMember.objects.filter(series=OuterRef("pk")).order_by().values("series")
    return rows.annotate(
        next_at=Subquery(waiting.order_by("next_at").values("next_at")[:1]),
        recipients=Coalesce(Subquery(members.annotate(count=Count("pk")).values("count")), 0),
    )


def _find(identifier: object, caller: Caller) -> ScheduleSeries:
    key = parse_identifier(identifier)
    lookup = {"uuid" if isinstance(key, UUID) else "pk": key}
    found = _visible(caller).filter(**lookup).first() if key is not None else None
    if found is None:
        raise NotFound(f"there is no schedule {identifier}", code="unknown_schedule")
    return found


def _build_response(row: ScheduleSeries) -> SeriesResponse:
    return SeriesResponse(
        id=row.uuid,
        key=row.pk,
        title=str(row.text.get("title", "")),
        recurrence=row.rule,
        timezone=row.zone,
        local_time=row.wall[11:] if row.wall and not row.zone else "",
        misfire=row.misfire,
        status=row.status,
        recipients=row.recipients,  # type: ignore[attr-defined]  # an annotation of _counted
        next_at=row.next_at if row.status == SeriesStatus.ACTIVE else None,  # type: ignore[attr-defined]
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
