"""Chooses when, or on which channel first, a person gets a message. Pure and repeatable.

A share of the people for whom the model could choose is in a holdout, for which it does not: so its
effect can be measured. Who is in it follows from a hash, not from the counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum

from notifications.domain.campaigns.lifecycle import is_held_out
from notifications.domain.learning.hours import by_day, hour_of_week
from notifications.domain.learning.model import OWN_ENOUGH, Model, Posterior


class LearningPlace(StrEnum):
    """Why a person gets a message then, or there."""

    #: The model chose.
    LEARNED = "learned"
    #: The person is in the holdout: the choice does not depend on the model.
    HOLDOUT = "holdout"
    #: Too little is known of the person: the message is sent as if nothing were learned.
    START = "start"


@dataclass(frozen=True, slots=True)
class TimeChoice:
    """When a person gets a message, and what was known of that hour and of the first one."""

    place: LearningPlace
    due_at: datetime
    hour: int
    evidence: Posterior
    first_hour: int
    first_mean: float
    #: The messages that the person was handed over, in all hours.
    known: int


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    """In which order the channels are tried, and what was known of each, in that order."""

    place: LearningPlace
    channels: tuple[str, ...]
    evidence: tuple[Posterior, ...]


@dataclass(frozen=True, slots=True)
class LearningRule:
    """What a choice depends on besides the counts.

    subject: the text that is hashed with the person, e.g. the UUID of a campaign.
    minimum: how many messages of a person must be known for the model to choose.
    at_night: whether hours of the night may be chosen, too.
    """

    subject: str
    holdout_percent: float
    minimum: int
    at_night: bool = False

    def place(self, what: str, user_id: int, known: int) -> LearningPlace:
        """Returns the place of a person. what: `time` or `channel`, which are independent."""
        if known < self.minimum:
            return LearningPlace.START
        held = is_held_out(f"{what}:{self.subject}", user_id, self.holdout_percent)
        return LearningPlace.HOLDOUT if held else LearningPlace.LEARNED


def choose_time(
    rule: LearningRule,
    model: Model,
    user_id: int,
    instants: Sequence[datetime],
    zone: tzinfo,
) -> TimeChoice:
    """Returns when a person gets a message. instants: those that are possible, the first first.

    The model chooses the hour with the highest mean, and the earlier of two that are equal: among
    the first and those at which enough was sent. The holdout gets one of the instants by a hash.
    Both get instants of the day, unless there is none.
    """
    known = model.whole().handed if model.is_reported else 0
    place = rule.place("time", user_id, known)
    if place is not LearningPlace.START and not rule.at_night:
        instants = by_day(instants, zone) or instants[:1]
    hours = [hour_of_week(at, zone) for at in instants]
    chosen = 0
    if place is LearningPlace.HOLDOUT:
        chosen = _draw(f"hour:{rule.subject}:{user_id}", len(instants))
    elif place is LearningPlace.LEARNED:
        tried = [number for number, hour in enumerate(hours) if not number or model.is_tried(hour)]
        chosen = max(tried, key=lambda number: (model.at(hours[number]).mean, -number))
    return TimeChoice(
        place,
        instants[chosen],
        hours[chosen],
        model.at(hours[chosen]),
        hours[0],
        model.at(hours[0]).mean,
        known,
    )


def choose_channels(
    rule: LearningRule, models: Mapping[str, Model], user_id: int, channels: Sequence[str]
) -> ChannelChoice:
    """Returns the order of the channels for a person: the highest mean first.

    A channel on which the person got too little passes no other: it may cost more. One of which no
    engagement is reported keeps its place. Without enough messages, and in the holdout, it is the
    given order.
    """
    found = {channel: models[channel].whole() for channel in channels}
    reported = [channel for channel in channels if models[channel].is_reported]
    known = sum(found[channel].handed for channel in reported)
    place = rule.place("channel", user_id, known)
    order = list(channels)
    if place is LearningPlace.LEARNED:
        best = iter(_best_first(reported, found))
        order = [next(best) if channel in reported else channel for channel in channels]
    return ChannelChoice(place, tuple(order), tuple(found[channel] for channel in order))


def _best_first(channels: Sequence[str], found: Mapping[str, Posterior]) -> list[str]:
    """Returns channels with each one that the person got before the first that it excels."""
    order: list[str] = []
    for channel in channels:
        own, place = found[channel], len(order)
        if own.handed >= OWN_ENOUGH:
            worse = (at for at, other in enumerate(order) if found[other].mean < own.mean)
            place = next(worse, place)
        order.insert(place, channel)
    return order


def _draw(text: str, count: int) -> int:
    """Returns a number from 0 to `count` - 1, by a hash."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8]) * count >> 64
