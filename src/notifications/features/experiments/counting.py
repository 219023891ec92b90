"""Counts the exposures of a test, and how many of them succeeded in time.

An exposure is a message that was handed over, as the deltas of recorded slices count it. A success
is an action of a person, within the window of the test after that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import (
    Count,
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    Value,
)
from django.db.models.expressions import CombinedExpression

from notifications.domain.engagement import quarter_of
from notifications.domain.experiments.labels import ExperimentPlace, PlaceNote, place_of
from notifications.domain.experiments.proportions import Arm
from notifications.features.experiments.catalog import counted_labels
from notifications.models import ABTestMetric, Conversion, NotificationABTest, NotificationAnalytics
from notifications.models.analytics.delta import unpacked_counts
from notifications.models.analytics.rollup import stored


class ABTestSegment(NamedTuple):
    """What messages of a variant are divided by."""

    variant: str
    channel: str
    provider: str


@dataclass(slots=True)
class Exposures:
    """The messages of one segment. Those of young quarters may still succeed."""

    handed_over: int = 0
    young: int = 0
    successes: int = 0
    young_successes: int = 0

    def add(self, other: Exposures) -> None:
        """Adds another segment."""
        self.handed_over += other.handed_over
        self.young += other.young
        self.successes += other.successes
        self.young_successes += other.young_successes

    def arm(self) -> Arm:
        """Returns the people of a variant, those who succeeded, and those whose outcome is final.

        A click may be stored a moment before the hand-over of its message is.
        """
        people = max(self.handed_over, self.successes)
        final = self.handed_over - self.young + self.young_successes
        return Arm(people, self.successes, min(max(final, self.successes), people))


@dataclass(slots=True)
class ABTestCounts:
    """All counts of a test."""

    segments: dict[ABTestSegment, Exposures] = field(default_factory=dict)
    #: Messages of the holdout, which no one got.
    held_out: int = 0
    #: Messages with the usual template, of people outside of the test.
    outside: int = 0

    def of(self, variant: str, channel: str, provider: str | None = None) -> Exposures:
        """Returns the sum over the segments of a variant and channel, and of a provider."""
        found = Exposures()
        for key, exposures in self.segments.items():
            if key[:2] == (variant, channel) and provider in (None, key.provider):
                found.add(exposures)
        return found


def count_test(test: NotificationABTest, *, now: datetime) -> ABTestCounts:
    """Returns the counts of a test that was started; empty counts for a draft."""
    found = ABTestCounts()
    if test.frozen is None:
        return found
    segments: dict[ABTestSegment, Exposures] = defaultdict(Exposures)
    labels = counted_labels(test.pk, test.weights)
    noted = [ExperimentPlace(test.pk, note=note).label for note in _NOTES]
    first_young = quarter_of(now - test.window)  # a quarter that is over has no open window
    handed_over = _handed_over([*labels, *noted], f"{test.pk}:", first_young)
    for label, channel, provider, is_young, sent, suppressed in handed_over:
        place = place_of(label)
        assert place is not None, "only labels of places were asked for"
        if place.note is PlaceNote.HELD_OUT:
            found.held_out += suppressed
        elif place.note is PlaceNote.OUTSIDE:
            found.outside += sent
        else:
            exposures = segments[ABTestSegment(place.variant, channel, provider)]
            exposures.handed_over += sent
            exposures.young += sent if is_young else 0
    for label, channel, provider, is_young, number in _successes(
        labels, _success(test), first_young
    ):
        named = place_of(label)
        if named is not None:
            exposures = segments[ABTestSegment(named.variant, channel, provider)]
            exposures.successes += number
            exposures.young_successes += number if is_young else 0
    found.segments = dict(segments)
    return found


def count_arms(
    arms: Mapping[str, Sequence[str]],
    *,
    prefix: str,
    window: timedelta,
    with_opens: bool,
    now: datetime,
) -> dict[str, Exposures]:
    """Returns the counts of arms that are no A/B test, by their names.

    arms: the labels of each. prefix: that of all labels. with_opens: whether opens of people are
    successes, beside clicks.
    """
    found = {name: Exposures() for name in arms}
    arm_of = {label: name for name, labels in arms.items() for label in labels}
    first_young = quarter_of(now - window)
    for label, _, _, is_young, sent, _ in _handed_over(list(arm_of), prefix, first_young):
        exposures = found[arm_of[label]]
        exposures.handed_over += sent
        exposures.young += sent if is_young else 0
    success = Q(clicked_at__lte=_end(F, window))
    if with_opens:
        success |= Q(opened_at__lte=_end(F, window))
    for label, _, _, is_young, number in _successes(list(arm_of), success, first_young):
        exposures = found[arm_of[label]]
        exposures.successes += number
        exposures.young_successes += number if is_young else 0
    return found


_Handed = tuple[str, str, str, bool, int, int]
_NOTES = (PlaceNote.HELD_OUT, PlaceNote.OUTSIDE)


def _handed_over(labels: Sequence[str], prefix: str, first_young: datetime) -> Iterator[_Handed]:
    """Yields (label, channel, provider, is young, sent, suppressed), in any order.

    One statement reads the rollups and the deltas that are not in them yet: a rollup that commits
    meanwhile is seen whole or not at all.
    """
    marks = ", ".join(["%s"] * len(labels))
    young = stored(first_young)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT variant, channel, provider, quarter >= %s, sum(sent), sum(suppressed), NULL"  # noqa: S608 -- marks alone
            f" FROM notifications_metricrollup WHERE variant <> '' AND variant IN ({marks})"
            " GROUP BY 1, 2, 3, 4 UNION ALL"
            " SELECT '', '', '', quarter >= %s, 0, 0, counts FROM notifications_metricdelta"
            " WHERE counts LIKE %s",
            [young, *labels, young, f'%"{prefix}%'],
        )
        rows = list(cursor.fetchall())
    for label, channel, provider, is_young, sent, suppressed, text in rows:
        if text is None:
            yield label, channel, provider, bool(is_young), int(sent), int(suppressed)
            continue
        for cohort, counts in unpacked_counts(text):
            if cohort.variant in labels:
                numbers = counts.get("sent", 0), counts.get("suppressed", 0)
                yield cohort.variant, cohort.channel, cohort.provider, bool(is_young), *numbers


def _successes(
    labels: Sequence[str], success: Q, first_young: datetime
) -> Sequence[tuple[str, str, str, bool, int]]:
    """Returns (label, channel, provider, is young, number) of what succeeded in time."""
    rows = NotificationAnalytics.objects.filter(
        ~Q(variant=""), variant__in=labels, sent_quarter__isnull=False, sent_at__isnull=False
    )
    rows = rows.filter(success).annotate(is_young=Q(sent_quarter__gte=first_young))
    groups = rows.values_list("variant", "channel", "provider", "is_young")
    return [(*group, number) for *group, number in groups.annotate(Count("pk")).order_by()]


def _success(test: NotificationABTest) -> Q:
    """Returns the condition of a success: an action of a person, within the window.

    The times of engagement are those of people: what machines do is in the flags alone.
    """
    if test.metric == ABTestMetric.CONVERSION_RATE:
        found = Conversion.objects.filter(
            goal_id=test.goal_id or 0,
            message_id=OuterRef("pk"),
            occurred_at__lte=_end(OuterRef, test.window),
        )
        return Q(Exists(found))
    name = "opened_at" if test.metric == ABTestMetric.OPEN_RATE else "clicked_at"
    return Q(**{f"{name}__lte": _end(F, test.window)})


def _end(named: type[F], window: timedelta) -> ExpressionWrapper[CombinedExpression]:
    """Returns the time until which a message may succeed. named: F, or OuterRef in a subquery."""
    value = Value(window, output_field=DurationField())
    return ExpressionWrapper(named("sent_at") + value, output_field=DateTimeField())
