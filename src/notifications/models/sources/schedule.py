"""A series: its members, a clock for each of their time zones, and its occurrences."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from notifications.domain.recurrence_rule import parse_rule
from notifications.domain.timing import Misfire, Timing
from notifications.domain.wall_clock import zone_named
from notifications.models.content.category import Category
from notifications.models.delivery.job import Job
from notifications.models.fields import SealedJSONField

WALL = "%Y-%m-%dT%H:%M"
"""How wall-clock times are stored: as texts, because a database would read them as instants."""


class SeriesStatus(models.TextChoices):
    """How far a series has come."""

    ACTIVE = "active", "Active"
    #: Its rule has no further occurrence.
    ENDED = "ended", "Ended"
    CANCELLED = "cancelled", "Cancelled"


class ScheduleSeries(models.Model):
    """A notification that recurs.

    A process locks this row while it creates an occurrence, so that each is created once.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    source = models.CharField(max_length=60)
    created_by = models.CharField(max_length=60)
    #: The user who created it; None where a key did.
    owner_id = models.BigIntegerField(null=True)
    is_test = models.BooleanField(default=False)
    type = models.CharField(max_length=50)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="+")
    priority = models.SmallIntegerField()
    channels = models.JSONField()
    text = SealedJSONField()
    rule = models.CharField(max_length=500)
    #: The wall-clock time from which its rule counts; empty where `instant` is set.
    wall = models.CharField(max_length=16, blank=True)
    instant = models.DateTimeField(null=True)
    #: Empty where each recipient's own zone counts.
    zone = models.CharField(max_length=64, blank=True)
    misfire = models.CharField(max_length=11, choices=[(each, each) for each in Misfire])
    grace_s = models.IntegerField()
    status = models.CharField(
        max_length=9, choices=SeriesStatus.choices, default=SeriesStatus.ACTIVE
    )
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "schedule series"
        indexes = [models.Index(fields=["owner_id", "id"], name="series_of_owner")]

    def __str__(self) -> str:
        return f"series {self.uuid} ({self.rule})"

    def timing(self) -> Timing:
        """Returns when its occurrences are due."""
        return Timing(
            wall=wall_of(self.wall) if self.wall else None,
            instant=self.instant,
            zone=zone_named(self.zone) if self.zone else None,
            rule=parse_rule(self.rule),
            misfire=Misfire(self.misfire),
            grace=timedelta(seconds=self.grace_s),
        )


class ScheduleClock(models.Model):
    """How far a series has come in one time zone."""

    series = models.ForeignKey(ScheduleSeries, on_delete=models.CASCADE, related_name="clocks")
    zone = models.CharField(max_length=64)
    #: The wall-clock time of the last occurrence that was created.
    made_wall = models.CharField(max_length=16, blank=True)
    #: The instant at which the last created occurrence is due.
    made_at = models.DateTimeField(null=True)
    next_wall = models.CharField(max_length=16, blank=True)
    next_at = models.DateTimeField(null=True)
    #: When the next occurrence is to be created: before it is due. None where none follows.
    make_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["series", "zone"], name="clock_once")]
        indexes = [
            models.Index(
                fields=["make_at"], condition=Q(make_at__isnull=False), name="clock_to_make"
            )
        ]

    def __str__(self) -> str:
        return f"{self.zone} of series {self.series_id}"


class ScheduleMember(models.Model):
    """A user to whom a series is sent."""

    series = models.ForeignKey(ScheduleSeries, on_delete=models.CASCADE, related_name="members")
    clock = models.ForeignKey(ScheduleClock, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    #: The wall-clock time of the last occurrence that was created for this member.
    made_wall = models.CharField(max_length=16, db_column="told", blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["series", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"member {self.user_id} of series {self.series_id}"


class ScheduleOccurrence(models.Model):
    """One occurrence in one time zone, created exactly once."""

    series = models.ForeignKey(ScheduleSeries, on_delete=models.CASCADE, related_name="occurrences")
    zone = models.CharField(max_length=64)
    #: Its wall-clock time; with `+job` for members who moved to this zone after it was created.
    wall = models.CharField(max_length=40)
    due_at = models.DateTimeField()
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    #: Notifications written; 0 where it was too late.
    count = models.IntegerField()
    #: Earlier occurrences that were skipped because they were too late as well.
    missed = models.IntegerField(default=0)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "zone", "wall"], name="occurrence_once")
        ]
        indexes = [models.Index(fields=["series", "due_at"], name="occurrence_due")]

    def __str__(self) -> str:
        return f"{self.wall} {self.zone} of series {self.series_id}"


def wall_of(text: str) -> datetime:
    """Parses a stored wall-clock time."""
    return datetime.strptime(text, WALL)  # noqa: DTZ007 -- a wall-clock time has no zone


def wall_text(wall: datetime) -> str:
    """Formats a wall-clock time for storage. The texts sort as the times do."""
    return wall.strftime(WALL)


def fields_of_timing(timing: Timing) -> dict[str, Any]:
    """Returns the columns of a series that hold its timing, except its rule."""
    return {
        "wall": wall_text(timing.wall) if timing.wall else "",
        "instant": timing.instant,
        "zone": str(timing.zone) if timing.zone else "",
        "misfire": timing.misfire,
        "grace_s": int(timing.grace.total_seconds()),
    }
