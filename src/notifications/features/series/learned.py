"""Learned hours of the steps of a series: which hour each person gets, and what that does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, tzinfo

from notifications.domain.channels import Channel
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.learning.choice import LearningPlace, LearningRule, choose_time
from notifications.domain.learning.hours import hours_within
from notifications.domain.learning.labels import learning_label
from notifications.domain.series.lifecycle import MailSeriesStatus
from notifications.domain.series.steps import SeriesStep
from notifications.features.experiments.learned import LearningTrial, learning_effects
from notifications.features.learning.awake import Awake
from notifications.features.learning.loading import LearnedModels
from notifications.features.learning.schemas import LearningEffect
from notifications.features.learning.stored import read_choice, stored_choice
from notifications.infra.conf import environment
from notifications.intake.accept import AssignedVariant
from notifications.models import MailSeries, MailSeriesVersion
from notifications.models.learning.hand_over import is_learning

_Place = tuple[int, int]
"""A version of the steps, and a position in it."""


def check_learned(steps: Sequence[SeriesStep]) -> None:
    """Checks that what steps ask for is learned here.

    Raises:
        InvalidRequest: invalid.
    """
    if is_learning():
        return
    detail = "nothing is learned here: set CARILLON_LEARNING=on, or leave it out"
    errors = [
        FieldError(f"steps[{place}].send_time", "invalid", detail)
        for place, step in enumerate(steps)
        if step.learns
    ]
    if errors:
        raise InvalidRequest(errors)


def learned_hours(
    series: MailSeries,
    place: _Place,
    step: SeriesStep,
    starts: Mapping[int, datetime],
    zones: Mapping[int, tzinfo],
) -> dict[int, tuple[datetime, str]]:
    """Returns when people are due, and why as their rows store it.

    starts: when each would be due without the model. Each step draws its own holdout.
    """
    models, awake = LearnedModels(list(starts), [Channel.EMAIL]), Awake(list(starts))
    rule = LearningRule(
        f"{series.uuid}:{place[0]}:{place[1]}",
        step.learning_holdout_percent,
        environment().learning_minimum,
        at_night=step.at_night,
    )
    found = {}
    for person, start in starts.items():
        zone = zones[person]
        instants = awake.of(person, hours_within(start, zone, step.window_hours), zone)
        time = choose_time(rule, models.of(person, Channel.EMAIL), person, instants, zone)
        found[person] = time.due_at, stored_choice(time, None)
    return found


def assigned_hour(series: MailSeries, place: _Place, choice: str) -> AssignedVariant | None:
    """Returns the label of a mail whose hour was chosen; None for others."""
    time = read_choice(choice).time if choice else None
    label = learning_label(_subject(series, place), time.place, None) if time else None
    return AssignedVariant(None, label) if label else None


def _subject(series: MailSeries, place: _Place) -> str:
    return f"s{series.pk}.{place[0]}.{place[1]}"


def effects_of_steps(
    series: MailSeries,
    versions: Collection[MailSeriesVersion],
    waiting: Mapping[_Place, int],
    *,
    now: datetime,
) -> dict[_Place, LearningEffect]:
    """Returns what learned hours did, by version and position.

    waiting: how many people wait for each step.
    """
    trials, places = {}, {}
    for version in versions:
        for position, step in enumerate(version.read_steps()):
            if step.learns:
                place = version.number, position
                subject = _subject(series, place)
                labels = {
                    each: [label]
                    for each in LearningPlace
                    if (label := learning_label(subject, each, None)) is not None
                }
                unjudged = "open" if _is_open(series, place, waiting) else ""
                trials[subject] = LearningTrial(labels, step.learning_holdout_percent, unjudged)
                places[subject] = place
    found = learning_effects(trials, subject=f"s{series.pk}.", now=now)
    return {places[subject]: effect for subject, effect in found.items()}


def _is_open(series: MailSeries, place: _Place, waiting: Mapping[_Place, int]) -> bool:
    """Returns whether someone may still be sent a step of a version."""
    if series.status == MailSeriesStatus.ENDED:
        return False
    version, position = place
    return version == series.version or any(
        number and each[0] == version and each[1] <= position for each, number in waiting.items()
    )
