"""The rollups: counts by quarter of an hour and cohort, and their sums by hour and day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.db import connection, models

from notifications.domain.analytics.counts import COUNTS
from notifications.domain.analytics.periods import Grain

_AT_ONCE = 500
"""Rows of one statement. SQLite takes 32,766 values."""


class MetricCounts(models.Model):
    """The columns of the counts. All may fall, when a state or a verdict changes."""

    sent = models.BigIntegerField(default=0)
    delivered = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    #: Those of `failed` that a provider had taken.
    bounced = models.BigIntegerField(default=0)
    suppressed = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    expired = models.BigIntegerField(default=0)
    digested = models.BigIntegerField(default=0)
    uncertain = models.BigIntegerField(default=0)
    complained = models.BigIntegerField(default=0)
    unsubscribed = models.BigIntegerField(default=0)
    opened_human = models.BigIntegerField(default=0)
    opened_machine = models.BigIntegerField(default=0)
    opened_unknown = models.BigIntegerField(default=0)
    clicked_human = models.BigIntegerField(default=0)
    clicked_machine = models.BigIntegerField(default=0)
    clicked_unknown = models.BigIntegerField(default=0)
    converted = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class MetricRollup(MetricCounts):
    """The counts of one cohort in one quarter of an hour."""

    id = models.BigAutoField(primary_key=True)
    #: The beginning of the quarter of `sent_at`, in UTC; of the last change, if it was not sent.
    quarter = models.DateTimeField()
    channel = models.CharField(max_length=10)
    #: 0 for a text of its own, without a template.
    template_id = models.BigIntegerField(default=0)
    template_version_id = models.BigIntegerField(default=0)
    provider = models.CharField(max_length=30, default="")
    #: The source of the notifications: a campaign is one, as is a broadcast.
    source = models.CharField(max_length=60, default="")
    variant = models.CharField(max_length=50, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "quarter",
                    "channel",
                    "template_version_id",
                    "provider",
                    "source",
                    "variant",
                ],
                name="metric_rollup_once",
            )
        ]
        indexes = [
            models.Index(fields=["source", "quarter"], name="metric_rollup_source"),
            # Only what belongs to A/B tests, whose results read no other row.
            models.Index(
                fields=["variant", "quarter"],
                condition=~models.Q(variant=""),
                name="metric_rollup_variant",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} at {self.quarter:%Y-%m-%d %H:%M}"


class MetricSpan(MetricCounts):
    """The sums over an hour or a day (UTC), by what the metrics are filtered by."""

    id = models.BigAutoField(primary_key=True)
    grain = models.CharField(max_length=4, choices=[(g.value, g.value) for g in Grain][1:])
    starts = models.DateTimeField()
    channel = models.CharField(max_length=10)
    template_id = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["grain", "starts", "channel", "template_id"], name="metric_span_once"
            )
        ]
        indexes = [models.Index(fields=["starts"], name="metric_span_age")]

    def __str__(self) -> str:
        return f"{self.channel} in the {self.grain} of {self.starts:%Y-%m-%d %H:%M}"


class MetricState(models.Model):
    """One row: since when deltas are written, and how far an older time was recounted."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    #: Changes before this are counted from the messages, changes since then by deltas.
    counts_since = models.DateTimeField()
    #: The key up to which messages were recounted.
    recounted_to = models.BigIntegerField(default=0)
    recounted_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[MetricState]] = models.Manager()

    def __str__(self) -> str:
        return f"counted since {self.counts_since}"


_ROLLUP = (
    "quarter",
    "channel",
    "template_version_id",
    "provider",
    "source",
    "variant",
    "template_id",
)
_SPAN = ("grain", "starts", "channel", "template_id")


def add_to_rollups(rows: Iterable[tuple[Any, ...]]) -> None:
    """Adds counts to the rollups, in the caller's transaction.

    rows: (quarter, channel, template version, provider, source, variant, template), then COUNTS.
    Each cohort is there once. The order of the rows keeps processes from a deadlock.
    """
    _add("notifications_metricrollup", _ROLLUP, _ROLLUP[:-1], rows)


def add_to_spans(rows: Iterable[tuple[Any, ...]]) -> None:
    """Does the same for the sums. rows: (grain, start, channel, template), then COUNTS."""
    _add("notifications_metricspan", _SPAN, _SPAN, rows)


def _add(
    table: str, columns: Sequence[str], unique: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    names = ", ".join((*columns, *COUNTS))
    sums = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in COUNTS)
    marks = "(" + ", ".join(["%s"] * (len(columns) + len(COUNTS))) + ")"
    ordered = sorted(rows)
    for start in range(0, len(ordered), _AT_ONCE):
        part = ordered[start : start + _AT_ONCE]
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({names}) VALUES {', '.join([marks] * len(part))}"  # noqa: S608
                f" ON CONFLICT ({', '.join(unique)}) DO UPDATE SET {sums}",
                [stored(value) for row in part for value in row],
            )


def stored(value: Any) -> Any:
    """Returns a value as a plain statement binds it."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value.astimezone(UTC))
    return value
