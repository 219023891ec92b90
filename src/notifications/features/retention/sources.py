"""What messages came from: jobs, broadcasts with their recipients, campaigns and series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db.models import Q, QuerySet

from notifications.domain.broadcast_lifecycle import OVER, BroadcastStatus
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.features.retention.rows import RowWalk, contents_age, facts_age, remove
from notifications.features.retention.walks import RoundPlan, StepOutcome
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Campaign,
    CampaignHoldout,
    Job,
    MailSeries,
    MailSeriesVersion,
    Notification,
    RetentionLeftover,
    RetentionProgress,
    ScheduleClock,
    ScheduleMember,
    ScheduleOccurrence,
    ScheduleSeries,
    SeriesEnrollment,
    SeriesStepCount,
)
from notifications.models.fields import EMPTIED

CONTENTS = "contents"
"""The rule whose position says which notifications were emptied."""


_LEFTOVERS = 20
"""Rows of leftovers that are read at once."""
_LIVE = [
    BroadcastStatus.SENDING.value,
    BroadcastStatus.PAUSED.value,
    BroadcastStatus.SENT.value,
]
_PLACED = [BroadcastStatus.DRAFT.value, BroadcastStatus.SCHEDULED.value]
"""Before its broadcasts begin, a campaign has reserved the keys of their recipients."""


class Jobs(RowWalk):
    """Deletes jobs of which no notification, broadcast or occurrence is left."""

    def __init__(self) -> None:
        super().__init__(Job, born="created_at", age=facts_age)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        outcome = StepOutcome()
        used = set(Broadcast.objects.filter(job_id__in=keys).values_list("job_id", flat=True))
        used |= set(
            ScheduleOccurrence.objects.filter(job_id__in=keys).values_list("job_id", flat=True)
        )
        gone = []
        for job in Job.objects.filter(pk__in=keys).only("pk", "first_key", "last_key"):
            if job.pk in used or _notifications_of(job).exists():
                outcome.stays.append(job.pk)
            else:
                gone.append(job.pk)
        if plan.applies:
            Job.objects.erase_keys(gone)
        outcome.counts += remove(Job.objects.filter(pk__in=gone), plan)
        return outcome


class JobContexts(RowWalk):
    """Empties the shared contexts of jobs whose notifications were all emptied."""

    def __init__(self) -> None:
        super().__init__(Job, born="created_at", age=contents_age)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        outcome = StepOutcome()
        jobs = Job.objects.filter(pk__in=keys, context__isnull=False).exclude(context=EMPTIED)
        reached = RetentionProgress.objects.filter(rule=CONTENTS, category_id=0).first()
        position = reached.position if reached else 0
        emptied = []
        for job in jobs.only("pk", "first_key", "last_key"):
            if _is_needed(job, position, plan):
                outcome.stays.append(job.pk)
            else:
                emptied.append(job.pk)
        if plan.applies:
            Job.objects.erase_keys(emptied)
            Job.objects.filter(pk__in=emptied).update(context=EMPTIED, key_id=None)
        outcome.counts += +Counter({Job._meta.db_table: len(emptied)})
        return outcome


def _notifications_of(job: Job) -> QuerySet[Notification]:
    keys = (job.first_key or 0, job.last_key or 0)
    return Notification.objects.filter(pk__range=keys, job_id=job.pk)


def _is_needed(job: Job, position: int, plan: RoundPlan) -> bool:
    """Returns whether a notification of the job has contents that are not to be emptied yet."""
    if job.first_key is None or job.last_key is None:
        return False
    first = _notifications_of(job).order_by("pk").values_list("category_id", flat=True).first()
    if first is None:
        return False
    if job.last_key > position or first in plan.categories:
        return True
    near = RetentionLeftover.objects.filter(
        rule=CONTENTS, first_key__lte=job.last_key, last_key__gte=job.first_key
    ).order_by("pk")
    last = 0
    while found := list(near.filter(pk__gt=last)[:_LEFTOVERS]):
        last = found[-1].pk
        keys = [key for leftover in found for key in leftover.key_list()]
        if _notifications_of(job).filter(pk__in=keys).exists():
            return True
    return False


class Broadcasts(RowWalk):
    """Deletes broadcasts that are over: first their recipients, then the row."""

    def __init__(self) -> None:
        times = ("updated_at", "sent_at", "handed_over_at", "completed_at")
        super().__init__(Broadcast, born="created_at", at=times, age=facts_age)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        outcome = StepOutcome()
        over = set(broadcasts_over().filter(pk__in=keys).values_list("pk", flat=True))
        outcome.stays += [key for key in keys if key not in over]
        for key in sorted(over):
            left = budget - outcome.counts.total()
            rows = BroadcastRecipient.objects.filter(broadcast_id=key)
            _part(key, rows.exclude(recipient_id__in=plan.held), plan, left, outcome)
            if key in outcome.unfinished:
                continue
            if rows.filter(recipient_id__in=plan.held).exists():
                outcome.stays.append(key)
            else:
                outcome.counts += remove(Broadcast.objects.filter(pk=key), plan)
        return outcome


class Campaigns(RowWalk):
    """Deletes campaigns that have ended, and of which no broadcast is left."""

    def __init__(self) -> None:
        times = ("updated_at", "started_at", "completed_at")
        super().__init__(Campaign, born="created_at", at=times, age=facts_age)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        outcome = StepOutcome()
        ended = Campaign.objects.filter(pk__in=keys, status__in=_ENDED)
        over = set(ended.filter(broadcasts__isnull=True).values_list("pk", flat=True))
        outcome.stays += [key for key in keys if key not in over]
        for key in sorted(over):
            left = budget - outcome.counts.total()
            rows = CampaignHoldout.objects.filter(campaign_id=key)
            _part(key, rows.exclude(user_id__in=plan.held), plan, left, outcome)
            if key in outcome.unfinished:
                continue
            if rows.filter(user_id__in=plan.held).exists():
                outcome.stays.append(key)
            else:
                outcome.counts += remove(Campaign.objects.filter(pk=key), plan)
        return outcome


_ENDED = [CampaignStatus.COMPLETED.value, CampaignStatus.CANCELLED.value]


def broadcasts_over() -> QuerySet[Broadcast]:
    """Returns the broadcasts of which nothing is to be sent, cancelled or counted any more."""
    return Broadcast.objects.filter(status__in=[status.value for status in OVER], cleared=True)


def open_sources() -> frozenset[str]:
    """Returns the sources of launched broadcasts that are not over. Their notifications stay."""
    live = Q(status__in=_LIVE) | Q(status=BroadcastStatus.CANCELLED.value, cleared=False)
    keys = Broadcast.objects.filter(live).order_by("pk").values_list("pk", flat=True)
    return frozenset(f"broadcast:{key}" for key in keys)


def first_reserved_key() -> int | None:
    """Returns the lowest notification key that a broadcast has reserved and not written yet.

    None where there is none. A broadcast reserves the keys of all recipients when its launch
    begins, and writes the notifications later; a pause may last for days.
    """
    placed = Q(campaign__isnull=False, status__in=_PLACED)
    launching = Broadcast.objects.filter(Q(status__in=_LIVE) | placed, messaged_done=False)
    found = []
    for key, after in launching.values_list("pk", "messaged_after"):
        rows = BroadcastRecipient.objects.filter(broadcast_id=key, recipient_id__gt=after)
        reserved = rows.order_by("recipient_id").values_list("notification_id", flat=True).first()
        if reserved is not None:
            found.append(reserved)
    return min(found, default=None)


class MailSeriesWalk(RowWalk):
    """Deletes series of mails that have ended: first the people in them, then the row."""

    def __init__(self) -> None:
        times = ("updated_at", "launched_at", "ended_at")
        super().__init__(MailSeries, born="created_at", at=times, age=facts_age)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        outcome = StepOutcome()
        ended = MailSeries.objects.filter(pk__in=keys, cleared=True)
        over = set(ended.values_list("pk", flat=True))
        outcome.stays += [key for key in keys if key not in over]
        for key in sorted(over):
            left = budget - outcome.counts.total()
            rows = SeriesEnrollment.objects.filter(series_id=key)
            _part(key, rows.exclude(user_id__in=plan.held), plan, left, outcome)
            if key in outcome.unfinished:
                continue
            if rows.filter(user_id__in=plan.held).exists():
                outcome.stays.append(key)
            else:
                for model in (SeriesStepCount, MailSeriesVersion):
                    parts: QuerySet[Any] = model._default_manager.filter(series_id=key)
                    outcome.counts += remove(parts, plan)
                outcome.counts += remove(MailSeries.objects.filter(pk=key), plan)
        return outcome


class Occurrences(RowWalk):
    """Deletes the occurrences of series."""

    def __init__(self) -> None:
        super().__init__(ScheduleOccurrence, born="made_at", at=("due_at",), age=facts_age)


class Series(RowWalk):
    """Deletes series that have ended, with their members and positions in time zones."""

    def __init__(self) -> None:
        super().__init__(ScheduleSeries, born="created_at", age=facts_age)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        outcome = StepOutcome()
        before = plan.now - facts_age()
        ended = ScheduleSeries.objects.filter(pk__in=keys, ended_at__lte=before)
        over = set(ended.values_list("pk", flat=True))
        outcome.stays += [key for key in keys if key not in over]
        for key in sorted(over):
            self._remove(key, plan, budget, outcome)
        return outcome

    def _remove(self, key: int, plan: RoundPlan, budget: int, outcome: StepOutcome) -> None:
        for model in (ScheduleMember, ScheduleOccurrence, ScheduleClock):
            rows: QuerySet[Any] = model._default_manager.filter(series_id=key)
            _part(key, rows, plan, budget - outcome.counts.total(), outcome)
            if key in outcome.unfinished:
                return
        outcome.counts += remove(ScheduleSeries.objects.filter(pk=key), plan)


def _part(key: int, rows: QuerySet[Any], plan: RoundPlan, left: int, outcome: StepOutcome) -> None:
    """Removes at most `left` rows; names `key` as unfinished where more remain."""
    if not plan.applies:
        outcome.counts += remove(rows, plan)
        return
    found = list(rows.order_by("pk").values_list("pk", flat=True)[: max(0, left) + 1])
    if len(found) > left:
        outcome.unfinished.append(key)
        found = found[: max(0, left)]
    outcome.counts += remove(rows.model._default_manager.filter(pk__in=found), plan)
