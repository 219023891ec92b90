"""Jobs (bulk calls): progress, members, and cancelling what waits."""

from __future__ import annotations

from uuid import UUID

from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.domain.lifecycle import UNSETTLED
from notifications.features.access.service import check_test_key, missing_scope
from notifications.features.sending.cancel import cancel_many
from notifications.features.sending.queries import rows_of
from notifications.features.sending.schemas import (
    JobCancelResponse,
    JobResponse,
    MemberResponse,
    NotificationRow,
    RejectionResponse,
)
from notifications.infra import clock
from notifications.models import Job, Notification
from notifications.models.audit.actions import record_change
from notifications.models.delivery.hot import hot

READ, SEND = "notifications:read", "notifications:send"
BROADCAST = "broadcast"
_AT_ONCE = 1_000


def find_job(identifier: object, caller: Caller) -> tuple[Job, bool]:
    """Returns a job that the caller may see, and whether it belongs to the caller.

    Raises:
        NotFound: unknown_job.
    """
    key = parse_identifier(identifier)
    lookup = {"uuid" if isinstance(key, UUID) else "pk": key}
    job = Job.objects.filter(**lookup).first() if key is not None else None
    own = job is not None and (
        job.actor == caller.name or (caller.is_service and job.source == caller.source)
    )
    if job is None or not (own or caller.may(READ)):
        raise NotFound(f"there is no job {identifier}", code="unknown_job")
    return job, own


def job_response(identifier: object, caller: Caller) -> JobResponse:
    """See NotificationService.job."""
    job, _ = find_job(identifier, caller)
    progress = _progress(job)
    return JobResponse(
        id=job.uuid,
        kind=job.kind,
        total=job.total,
        accepted=job.accepted,
        rejected=[RejectionResponse(**each) for each in job.rejected],
        progress=progress,
        done=not any(progress.get(state) for state in UNSETTLED),
        created_at=job.created_at,
    )


def job_members(
    identifier: object, caller: Caller, *, after: int = 0, limit: int = 50
) -> list[tuple[int, MemberResponse]]:
    """Returns the accepted recipients above the key `after`, in the caller's order.

    Each one has its key.

    Raises:
        NotFound: unknown_job.
    """
    job, _ = find_job(identifier, caller)
    if job.first_key is None or job.last_key is None:
        return []
    rows = Notification.objects.select_related("category", "template_version__template")
    rows = rows.filter(job=job, pk__gte=max(job.first_key, after + 1), pk__lte=job.last_key)
    found = list(rows.order_by("pk")[:limit])
    return [(each.pk, _member(row)) for each, row in zip(found, rows_of(found), strict=True)]


def cancel_job(identifier: object, caller: Caller) -> JobCancelResponse:
    """Cancels the waiting notifications of a job, 1,000 in one transaction.

    It does not touch notifications with messages in flight. Safe to repeat.

    Raises:
        NotFound: unknown_job.
        Refused: missing_scope, for another caller's job without notifications:send.
        Conflict: job_of_broadcast.
    """
    job, own = find_job(identifier, caller)
    if not own and not caller.may(SEND):
        raise missing_scope(SEND)
    if job.kind == BROADCAST:
        raise Conflict(
            "the job belongs to a broadcast: cancel the broadcast", code="job_of_broadcast"
        )
    if caller.is_test:
        live = Notification.objects.filter(job=job, is_test=False)
        check_test_key(caller, is_test=not live.exists())
    cancelled, after = 0, (job.first_key or 1) - 1
    members = Notification.objects.filter(job=job, pk__lte=job.last_key or 0).order_by("pk")
    while keys := list(members.filter(pk__gt=after).values_list("pk", flat=True)[:_AT_ONCE]):
        cancelled += cancel_many(keys, by=caller.name, now=clock.now())
        after = keys[-1]
    record_change(
        actor=caller.name,
        action="job.cancelled",
        target=f"job:{job.uuid}",
        at=clock.now(),
        after={"cancelled": cancelled},
    )
    return JobCancelResponse(id=job.uuid, cancelled=cancelled, progress=_progress(job))


def _progress(job: Job) -> dict[str, int]:
    if job.first_key is None or job.last_key is None:
        return {}
    return hot().count_by_status(job.first_key, job.last_key, job.pk)


def _member(row: NotificationRow) -> MemberResponse:
    errors = [each.last_error for each in row.channels if each.last_error]
    return MemberResponse(
        notification_id=row.id,
        user_id=row.user_id,
        status=row.status,
        channels=row.channels,
        error=errors[0] if errors else None,
    )
