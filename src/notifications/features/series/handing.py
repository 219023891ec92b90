"""Hands over the due steps of a series: some people in a transaction, under the series' lock.

The mails, the rows that say so and the next due times are written together. So a process may die at
any instant, and another continues where the rows say; no step is lost or handed over twice. A pause
waits for the transaction, and nothing is handed over after it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from django.db import transaction

from notifications.domain.series.lifecycle import EnrollmentState, ExitReason
from notifications.domain.series.steps import (
    LATE,
    SeriesStep,
    due_after,
    due_again,
    entry_base,
    next_base,
)
from notifications.domain.wall_clock import first_zone
from notifications.features.experiments.placing import NO_TESTS, load_placings
from notifications.features.scheduling.zones import people_by_zone
from notifications.features.series.approval import check_approved
from notifications.features.series.contents import (
    StepContent,
    build_step_intent,
    check_list,
    content_of,
)
from notifications.features.series.decisions import exits_by_choice, exits_by_goal
from notifications.features.series.learned import assigned_hour, learned_hours
from notifications.infra import clock, telemetry
from notifications.intake.accept import Intent, SendTarget, accept
from notifications.models import (
    MailSeries,
    MailSeriesVersion,
    SeriesEnrollment,
    SeriesHandover,
    SeriesStepCount,
)
from notifications.models.learning.hand_over import is_learning

AT_ONCE = 500
_CHANGED = ("state", "position", "due_at", "planned", "ended_at", "reason", "choice")
_Place = tuple[int, int]
"""A version of the steps, and a position in it."""


def hand_over_due(series_id: int, *, now: datetime, until: float) -> int:
    """Goes on with the people whose step is due; returns how many rows changed.

    until: the monotonic time at which this stops; the next call does the rest.

    Raises:
        InvalidRequest: a step names something that does not exist any more.
        ApprovalOutdated: a template changed since the series was approved.
    """
    done = 0
    while True:
        found = _hand_over_part(series_id, now=now)
        done += found
        if not found or clock.monotonic() >= until:
            return done


def _hand_over_part(series_id: int, *, now: datetime) -> int:
    """Goes on with at most AT_ONCE people; 0 where no one is due, or another process is at it."""
    with transaction.atomic():
        rows = MailSeries.objects.live().filter(pk=series_id)
        series = rows.select_for_update(no_key=True, skip_locked=True, of=("self",)).first()
        if series is None:
            return 0
        due = SeriesEnrollment.objects.filter(series=series, due_at__lte=now).order_by("due_at")
        people = list(due.select_for_update(skip_locked=True, of=("self",))[:AT_ONCE])
        if not people:
            return 0
        check_list(series)
        part = _Part(series, people, now=now)
        part.plan()
        part.choose_hours()
        part.exit(exits_by_goal(series, part.due))
        part.hand_over()
        SeriesEnrollment.objects.bulk_update(people, _CHANGED)
    part.count()
    return len(people)


@dataclass(slots=True)
class _Group:
    """The people for whom one step is due."""

    step: SeriesStep
    content: StepContent
    intent: Intent
    people: list[SeriesEnrollment] = field(default_factory=list)


class _Part:
    """Some people of a series whose rows are locked."""

    def __init__(
        self, series: MailSeries, people: Sequence[SeriesEnrollment], *, now: datetime
    ) -> None:
        self._series, self._now = series, now
        #: Those whose step is due now; the others are only planned.
        self.due = list(people)
        self._steps = _steps_of(series, {row.version for row in people})
        self._zones = _zones_of([row.user_id for row in people])
        #: By version, position and result.
        self._counts: Counter[tuple[int, int, str]] = Counter()

    def plan(self) -> None:
        """Computes the due time of new people, and of those who are late for a local time."""
        due = []
        for row in self.due:
            step, zone = self._steps[row.version][row.position], self._zones[row.user_id]
            at = row.due_at or self._now
            if self._now - at > LATE:
                row.choice = ""
            if not row.planned:
                row.planned = True
                at = due_after(entry_base(row.entered_at, row.day, zone), step, zone)
            if at <= self._now:
                row.due_at = at
                at = due_again(at, step, zone, now=self._now)
            if at <= self._now:
                due.append(row)
            else:
                row.due_at = at
        self.due = due

    def choose_hours(self) -> None:
        """Moves those of whose step an hour is learned to that hour, once each."""
        by_place: dict[_Place, list[SeriesEnrollment]] = defaultdict(list)
        for row in self.due if is_learning() else ():
            if self._steps[row.version][row.position].learns and not row.choice:
                by_place[row.version, row.position].append(row)
        for place, people in by_place.items():
            starts = {
                row.user_id: next_base(row.due_at or self._now, now=self._now) for row in people
            }
            step = self._steps[place[0]][place[1]]
            hours = learned_hours(self._series, place, step, starts, self._zones)
            for row in people:
                at, row.choice = hours[row.user_id]
                row.due_at = at if at > self._now else row.due_at
        self.due = [row for row in self.due if row.due_at is None or row.due_at <= self._now]

    def exit(self, reasons: Mapping[int, ExitReason]) -> None:
        """Ends the rows that are named, and leaves the others due."""
        for row in self.due:
            if row.pk in reasons:
                self._end(row, EnrollmentState.EXITED, reasons[row.pk])
                self._counts[row.version, row.position, reasons[row.pk].value] += 1
        self.due = [row for row in self.due if row.pk not in reasons]

    def hand_over(self) -> None:
        """Accepts the mails of those who are due, and advances them."""
        known = _handed_over(self.due)
        for group in self._groups():
            new = [row for row in group.people if (row.pk, row.position) not in known]
            reasons = exits_by_choice(group.intent, new, now=self._now)
            self.exit(reasons)
            sent = [row for row in new if row.pk not in reasons]
            self._accept(group, sent)
            for row in group.people:
                if row.pk not in reasons:
                    self._advance(row)
        SeriesStepCount.objects.add(self._series.pk, self._counts)

    def _groups(self) -> Iterable[_Group]:
        by_place: dict[_Place, list[SeriesEnrollment]] = defaultdict(list)
        for row in self.due:
            by_place[row.version, row.position].append(row)
        for (version, position), people in sorted(by_place.items()):
            step = self._steps[version][position]
            content = content_of(self._series, step)
            check_approved(self._series, content)
            intent = build_step_intent(self._series, step, content)
            yield _Group(step, content, intent, people)

    def _accept(self, group: _Group, people: Sequence[SeriesEnrollment]) -> None:
        if not people:
            return
        intent, template = group.intent, group.content.template
        place = people[0].version, people[0].position
        users = [row.user_id for row in people]
        placings = NO_TESTS if group.step.learns else load_placings([template], users)
        context = intent.terms.context
        channels = intent.terms.channels
        targets = [
            SendTarget(
                row.user_id,
                channels,
                assigned=assigned_hour(self._series, place, row.choice)
                or placings.assigned(intent, template.pk, row.user_id, channels, context),
            )
            for row in people
        ]
        made = accept(intent, targets, now=self._now)
        SeriesHandover.objects.bulk_create(
            SeriesHandover(
                enrollment=row,
                position=row.position,
                notification_id=key,
                at=self._now,
                choice=row.choice,
            )
            for row, key in zip(people, made.notification_keys, strict=True)
        )
        self._counts[*place, SeriesStepCount.SENT] += len(people)

    def _advance(self, row: SeriesEnrollment) -> None:
        steps, zone = self._steps[row.version], self._zones[row.user_id]
        row.position += 1
        row.choice = ""
        if row.position >= len(steps):
            self._end(row, EnrollmentState.COMPLETED)
            return
        base = next_base(row.due_at or self._now, now=self._now)
        row.due_at = due_after(base, steps[row.position], zone)

    def _end(
        self, row: SeriesEnrollment, state: EnrollmentState, reason: ExitReason | None = None
    ) -> None:
        row.state, row.due_at, row.ended_at, row.choice = state.value, None, self._now, ""
        row.reason = reason.value if reason else ""

    def count(self) -> None:
        """Adds what was committed to the metrics."""
        for (_, _, result), number in self._counts.items():
            telemetry.SERIES.labels(result).inc(number)


def _steps_of(series: MailSeries, versions: Iterable[int]) -> dict[int, list[SeriesStep]]:
    rows = MailSeriesVersion.objects.filter(series=series, number__in=sorted(versions))
    return {row.number: row.read_steps() for row in rows}


def _zones_of(user_ids: Sequence[int]) -> dict[int, tzinfo]:
    return {
        person: first_zone(name)[0]
        for name, people in people_by_zone(user_ids).items()
        for person in people
    }


def _handed_over(people: Sequence[SeriesEnrollment]) -> set[_Place]:
    """Returns the steps of these people that were handed over before, by row and position."""
    rows = SeriesHandover.objects.filter(enrollment_id__in=[row.pk for row in people])
    return set(rows.values_list("enrollment_id", "position"))
