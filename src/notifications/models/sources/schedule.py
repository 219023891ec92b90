"""What recurs: a series, its people, a clock for each of their zones, and what was made of it."""

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
"""How wall-clock times are stored: texts, for a database would take them for instants."""


class SeriesStatus(models.TextChoices):
    """How far a series has come."""

    ACTIVE = "active", "Active"
    ENDED = "ended", "Ended"  # its rule has no further occurrence
    CANCELLED = "cancelled", "Cancelled"


class ScheduleSeries(models.Model):
    """A text that some people are told again and again. Its row's lock is held while an occurrence
    is made, so that each is made once whoever tries."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    source = models.CharField(max_length=60)
    created_by = models.CharField(max_length=60)
    owner_id = models.BigIntegerField(null=True)  # the person who made it, if one did
    is_test = models.BooleanField(default=False)
    type = models.CharField(max_length=50)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="+")
    priority = models.SmallIntegerField()
    channels = models.JSONField()
    text = SealedJSONField()
    rule = models.CharField(max_length=500)
    wall = models.CharField(max_length=16, blank=True)  # from which it counts; or `instant`
    instant = models.DateTimeField(null=True)
    zone = models.CharField(max_length=64, blank=True)  # empty: each person's own
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
        """When it is due."""
        return Timing(
            wall=wall_of(self.wall) if self.wall else None,
            instant=self.instant,
            zone=zone_named(self.zone) if self.zone else None,
            rule=parse_rule(self.rule),
            misfire=Misfire(self.misfire),
            grace=timedelta(seconds=self.grace_s),
        )


class ScheduleClock(models.Model):
    """The course of a series in one zone. make_at: when the next occurrence is to be written down,
    a while before it is due; null when none follows."""

    series = models.ForeignKey(ScheduleSeries, on_delete=models.CASCADE, related_name="clocks")
    zone = models.CharField(max_length=64)
    made_wall = models.CharField(max_length=16, blank=True)
    made_at = models.DateTimeField(null=True)  # the instant of the last occurrence that was made
    next_wall = models.CharField(max_length=16, blank=True)
    next_at = models.DateTimeField(null=True)
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
    """Somebody whom a series tells. told: the wall-clock time of the last occurrence made for
    them."""

    series = models.ForeignKey(ScheduleSeries, on_delete=models.CASCADE, related_name="members")
    clock = models.ForeignKey(ScheduleClock, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    told = models.CharField(max_length=16, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["series", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"member {self.user_id} of series {self.series_id}"


class ScheduleOccurrence(models.Model):
    """One occurrence in one zone, made exactly once. count: notifications written; 0 where it was
    too late. missed: occurrences before it that were passed over, being too late as well."""

    series = models.ForeignKey(ScheduleSeries, on_delete=models.CASCADE, related_name="occurrences")
    zone = models.CharField(max_length=64)
    wall = models.CharField(max_length=40)  # with `+job` for those who moved
    due_at = models.DateTimeField()
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    count = models.IntegerField()
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
    """A stored wall-clock time."""
    return datetime.strptime(text, WALL)  # noqa: DTZ007 -- a wall-clock time has no zone


def wall_text(wall: datetime) -> str:
    """A wall-clock time as it is stored: texts that sort as the times do."""
    return wall.strftime(WALL)


def fields_of_timing(timing: Timing) -> dict[str, Any]:
    """The columns of a series that say when it is due, but for its rule."""
    return {
        "wall": wall_text(timing.wall) if timing.wall else "",
        "instant": timing.instant,
        "zone": str(timing.zone) if timing.zone else "",
        "misfire": timing.misfire,
        "grace_s": int(timing.grace.total_seconds()),
    }
