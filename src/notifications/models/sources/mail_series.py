"""Series of mails that follow a trigger, the people in them, and what each was sent.

The row of a person holds a position and a due time, whatever the steps do.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery

from notifications.domain.campaigns.lifecycle import CampaignApproval, is_held_out
from notifications.domain.series.lifecycle import (
    OPEN,
    EnrollmentState,
    ExitReason,
    MailSeriesStatus,
    SeriesTrigger,
    may_become,
)
from notifications.domain.series.steps import SeriesStep
from notifications.infra import clock
from notifications.models.analytics.goal import Goal
from notifications.models.fields import EMPTY_LIST

_OPEN = sorted(status.value for status in OPEN)


class MailSeriesManager(models.Manager["MailSeries"]):
    """Finds the series that have work."""

    def live(self) -> models.QuerySet[MailSeries]:
        """Returns the series that send."""
        return self.filter(status=MailSeriesStatus.LIVE.value)

    def with_due(self, now: datetime) -> models.QuerySet[MailSeries]:
        """Returns the live series in which a step is due.

        It looks up the first due time of each live series in an index. An EXISTS would let
        PostgreSQL join instead, and read all overdue rows of a paused series.
        """
        waiting = SeriesEnrollment.objects.filter(series=OuterRef("pk"), due_at__isnull=False)
        first = waiting.order_by("due_at").values("due_at")[:1]
        return self.live().alias(first_due=Subquery(first)).filter(first_due__lte=now)

    def to_scan(self, now: datetime) -> models.QuerySet[MailSeries]:
        """Returns the series that look for people whose date has come."""
        return self.filter(status__in=_OPEN, scan_at__lte=now)

    def to_clear(self) -> models.QuerySet[MailSeries]:
        """Returns the series that ended, and in which people may still wait."""
        return self.filter(status=MailSeriesStatus.ENDED.value, cleared=False)


class MailSeries(models.Model):
    """Up to twenty mails that follow a trigger, with waits between them."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=1000, blank=True)
    status = models.CharField(
        max_length=10,
        choices=[(each.value, each.value) for each in MailSeriesStatus],
        default=MailSeriesStatus.DRAFT.value,
    )
    approval = models.CharField(
        max_length=10,
        choices=[(each.value, each.value) for each in CampaignApproval],
        default=CampaignApproval.NONE.value,
        db_default=CampaignApproval.NONE.value,
    )
    #: A second person must release it.
    needs_approval = models.BooleanField(default=False, db_default=False)
    trigger = models.CharField(
        max_length=10, choices=[(each.value, each.value) for each in SeriesTrigger]
    )
    #: The mailing list, for the trigger `list`.
    list_id = models.BigIntegerField(null=True, blank=True)
    #: The name of the event, for the trigger `event`.
    event = models.CharField(max_length=100, blank=True)
    #: The place of the date in the attributes of a person, for the trigger `date`.
    attribute = models.CharField(max_length=200, blank=True)
    #: How many days after the date it begins; before it if negative.
    offset_days = models.SmallIntegerField(default=0)
    #: Empty: the category of each step's template.
    category = models.CharField(max_length=50, blank=True)
    #: The values of the templates, the same for all people.
    context = models.JSONField(default=dict, blank=True)
    #: Who converts on it after they entered leaves the series.
    goal = models.ForeignKey(
        Goal, on_delete=models.SET_NULL, null=True, blank=True, db_index=False, related_name="+"
    )
    holdout_percent = models.FloatField(default=0.0)
    #: After how many days a person may enter again; None: never.
    reentry_days = models.SmallIntegerField(null=True, blank=True)
    #: None: as the service's settings say.
    track_opens = models.BooleanField(null=True, blank=True)
    track_clicks = models.BooleanField(null=True, blank=True)
    #: The version of the steps that people enter now.
    version = models.SmallIntegerField(default=1)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
    )
    #: The contents that it may send, as `approval.py` names them; None: it was never approved.
    approved_contents = models.JSONField(null=True, blank=True)
    #: What its approval releases: `launch`, `resume` or `change`; empty for nothing.
    requested = models.CharField(max_length=8, blank=True, default="", db_default="")
    #: The ids of all users who wrote, changed or sent it: none of them may approve it.
    involved_user_ids = models.JSONField(default=list, blank=True, db_default=EMPTY_LIST)
    review_note = models.TextField(blank=True, default="", db_default="")
    is_test = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)
    launched_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    #: No one waits in it any more, after it ended.
    cleared = models.BooleanField(default=False)
    #: When people whose date has come are looked for next, for the trigger `date`.
    scan_at = models.DateTimeField(null=True, blank=True)
    #: The last date of which all people were found.
    scanned_day = models.DateField(null=True, blank=True)
    #: The id of the last user that was looked at for the next dates.
    scanned_after = models.BigIntegerField(default=0)
    #: Why it was paused, or why its last round failed; empty for no error.
    error = models.CharField(max_length=500, blank=True)

    objects: ClassVar[MailSeriesManager] = MailSeriesManager()

    class Meta:
        verbose_name_plural = "mail series"
        indexes = [
            models.Index(fields=["id"], condition=Q(status="live"), name="mail_series_live"),
            models.Index(
                fields=["list_id"],
                condition=Q(status__in=_OPEN, trigger="list"),
                name="mail_series_of_list",
            ),
            models.Index(
                fields=["event"],
                condition=Q(status__in=_OPEN, trigger="event"),
                name="mail_series_of_event",
            ),
            models.Index(
                fields=["scan_at"],
                condition=Q(scan_at__isnull=False),
                name="mail_series_to_scan",
            ),
            models.Index(
                fields=["id"],
                condition=Q(status="ended", cleared=False),
                name="mail_series_to_clear",
            ),
            models.Index(fields=["status", "id"], name="mail_series_by_status"),
            models.Index(
                fields=["id"], condition=Q(approval="requested"), name="mail_series_requested"
            ),
        ]

    def __str__(self) -> str:
        return f"mail series {self.pk} ({self.status})"

    @property
    def source(self) -> str:
        """What its notifications come from."""
        return f"series:{self.pk}"

    @property
    def goal_is_trigger(self) -> bool:
        """Whether the goal names the event that people enter by."""
        return self.goal is not None and self.goal.event == self.event

    def holds_out(self, user_id: int) -> bool:
        """Returns whether a person gets nothing, so that an effect can be measured."""
        return is_held_out(str(self.uuid), user_id, self.holdout_percent)

    def become(self, target: MailSeriesStatus, **values: Any) -> bool:
        """Saves the next state and other values if the table allows it; returns whether it did.

        The caller has locked the row.
        """
        if not may_become(self.status, target):
            return False
        self.store(status=target.value, **values)
        return True

    def store(self, **values: Any) -> None:
        """Saves some columns."""
        for name, value in values.items():
            setattr(self, name, value)
        self.save(update_fields=[*values, "updated_at"])


class MailSeriesVersion(models.Model):
    """The steps of a series. Once people entered it, a version never changes."""

    series = models.ForeignKey(
        MailSeries, on_delete=models.CASCADE, db_index=False, related_name="versions"
    )
    number = models.SmallIntegerField()
    #: The steps, as domain/series/steps.py writes them.
    steps = models.JSONField()
    created_at = models.DateTimeField(default=clock.now)

    objects: ClassVar[models.Manager[MailSeriesVersion]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "number"], name="mail_series_version_once")
        ]

    def __str__(self) -> str:
        return f"version {self.number} of mail series {self.series_id}"

    def read_steps(self) -> list[SeriesStep]:
        """Returns the steps in order."""
        return [SeriesStep.read(each) for each in self.steps]


class SeriesEnrollment(models.Model):
    """A person in a series, and the step that comes next."""

    id = models.BigAutoField(primary_key=True)
    series = models.ForeignKey(
        MailSeries, on_delete=models.CASCADE, db_index=False, related_name="enrollments"
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    #: The version of the steps with which they entered.
    version = models.SmallIntegerField()
    #: 1 for the first time in the series, 2 for the second.
    entry = models.SmallIntegerField(default=1)
    state = models.CharField(
        max_length=10,
        choices=[(each.value, each.value) for each in EnrollmentState],
        default=EnrollmentState.WAITING.value,
    )
    #: The place of the next step, from 0.
    position = models.SmallIntegerField(default=0)
    #: When it is due; null for people who do not wait.
    due_at = models.DateTimeField(null=True)
    #: Whether the time of the first step was computed; before that, `due_at` is the entry.
    planned = models.BooleanField(default=False)
    #: The day of the date that made them enter, from which the first wait counts.
    day = models.DateField(null=True)
    entered_at = models.DateTimeField()
    #: When the trigger happened, from which on the goal counts; null in rows from before 0074.
    triggered_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    #: Why they left it early; empty for no exit.
    reason = models.CharField(
        max_length=20, blank=True, choices=[(each.value, each.value) for each in ExitReason]
    )
    #: Why the next step is due at a learned hour (`StoredChoice`); empty before that was chosen.
    choice = models.CharField(max_length=400, blank=True, default="", db_default="")

    objects: ClassVar[models.Manager[SeriesEnrollment]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "user", "entry"], name="series_entry_once")
        ]
        indexes = [
            models.Index(
                fields=["series", "due_at", "version", "position"],
                condition=Q(due_at__isnull=False),
                name="series_enrollment_due",
            ),
            models.Index(fields=["series", "state", "id"], name="series_enrollment_state"),
        ]

    @property
    def goal_counts_from(self) -> datetime:
        """From when on a conversion on the goal makes the person leave."""
        return self.triggered_at or self.entered_at

    def __str__(self) -> str:
        return f"user {self.user_id} in mail series {self.series_id}: {self.state}"


class SeriesStepCountManager(models.Manager["SeriesStepCount"]):
    """Adds to the counts."""

    def add(self, series_id: int, counts: Mapping[tuple[int, int, str], int]) -> None:
        """Adds numbers, by version, position and result. The caller has locked the series."""
        for (version, position, result), number in sorted(counts.items()):
            place = {"version": version, "position": position, "result": result}
            rows = self.filter(series_id=series_id, **place)
            if not rows.update(number=F("number") + number):
                self.create(series_id=series_id, number=number, **place)


class SeriesHandover(models.Model):
    """A step that was handed over for a person. It exists once, so the mail does too."""

    id = models.BigAutoField(primary_key=True)
    enrollment = models.ForeignKey(
        SeriesEnrollment, on_delete=models.CASCADE, db_index=False, related_name="handovers"
    )
    position = models.SmallIntegerField()
    notification_id = models.BigIntegerField()
    at = models.DateTimeField(db_index=True)
    #: Why it was due at a learned hour (`StoredChoice`); empty where its step does not learn.
    choice = models.CharField(max_length=400, blank=True, default="", db_default="")

    objects: ClassVar[models.Manager[SeriesHandover]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["enrollment", "position"], name="series_handover_once")
        ]

    def __str__(self) -> str:
        return f"step {self.position} of enrollment {self.enrollment_id}"


class SeriesStepCount(models.Model):
    """What became of people at a step of a version: a number for each result."""

    SENT = "sent"

    series = models.ForeignKey(
        MailSeries, on_delete=models.CASCADE, db_index=False, related_name="step_counts"
    )
    version = models.SmallIntegerField()
    position = models.SmallIntegerField()
    #: `sent`, or the reason of an exit.
    result = models.CharField(max_length=20)
    number = models.BigIntegerField(default=0)

    objects: ClassVar[SeriesStepCountManager] = SeriesStepCountManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["series", "version", "position", "result"], name="series_step_count_once"
            )
        ]

    def __str__(self) -> str:
        return f"step {self.position} of mail series {self.series_id}: {self.number} {self.result}"
