"""Chooses for each person of a campaign when it is due, and which channel comes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from notifications.domain.learning.choice import LearningRule, choose_channels, choose_time
from notifications.domain.learning.hours import hours_within
from notifications.domain.wall_clock import first_zone
from notifications.features.learning.awake import Awake
from notifications.features.learning.loading import LearnedModels
from notifications.features.learning.stored import stored_choice
from notifications.infra.conf import environment
from notifications.models import Campaign
from notifications.models.people.zones import zones_of


@dataclass(slots=True)
class LearnedDues:
    """When people are due, and why, as their rows store it."""

    due: dict[int, datetime] = field(default_factory=dict)
    choices: dict[int, str] = field(default_factory=dict)


def learned_dues(row: Campaign, starts: Mapping[int, datetime]) -> LearnedDues:
    """Returns when people are due. starts: when each would be due without the model."""
    people = list(starts)
    channels = list(row.channels)
    models = LearnedModels(people, channels)
    rule = LearningRule(
        str(row.uuid),
        row.learning_holdout_percent,
        environment().learning_minimum,
        at_night=row.send_at_night,
    )
    named = zones_of(people)
    zones = {name: first_zone(name)[0] for name in set(named.values())}
    awake = Awake(people) if row.send_time else None
    found = LearnedDues()
    for person, start in starts.items():
        order = time = None
        if row.channel_choice:
            of_channels = {channel: models.of(person, channel) for channel in channels}
            order = choose_channels(rule, of_channels, person, channels)
        if awake is not None:
            zone = zones[named[person]]
            instants = awake.of(person, hours_within(start, zone, row.send_window_hours), zone)
            first = order.channels[0] if order else channels[0]
            time = choose_time(rule, models.of(person, first), person, instants, zone)
        found.due[person] = time.due_at if time else start
        found.choices[person] = stored_choice(time, order)
    return found
