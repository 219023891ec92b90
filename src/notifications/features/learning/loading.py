"""Loads what is learned of people, as models that choose."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from notifications.domain.learning.counts import HourCounts, by_hour, since
from notifications.domain.learning.hours import first_period
from notifications.domain.learning.model import Model
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import EngagementHours, EngagementPrior, UserNotificationPreference
from notifications.models.learning.hours import unpacked_cells

Hours = dict[int, HourCounts]


class LearnedModels:
    """The models of some people on some channels. Two queries, and one for who refuses tracking."""

    def __init__(self, people: Collection[int], channels: Sequence[str]) -> None:
        self._first = first_period(clock.now(), environment().learning_days)
        self._with_opens = environment().learning_from == "opens"
        refusing = UserNotificationPreference.objects.filter(
            user_id__in=people, tracking_enabled=False
        )
        left_out = set(refusing.values_list("user_id", flat=True))
        rows = EngagementHours.objects.filter(user_id__in=people, channel__in=channels)
        self._own = {
            (user, channel): self._hours(cells)
            for user, channel, cells in rows.values_list("user_id", "channel", "cells")
            if user not in left_out
        }
        priors = EngagementPrior.objects.filter(channel__in=channels)
        self._everyone = {
            channel: self._hours(cells) for channel, cells in priors.values_list("channel", "cells")
        }

    def of(self, user_id: int, channel: str) -> Model:
        """Returns the model of a person on a channel; one without counts where none is known."""
        own = self._own.get((user_id, channel), {})
        return Model(own, self._everyone.get(channel, {}), self._with_opens)

    def _hours(self, cells: bytes | memoryview) -> Hours:
        return by_hour(since(unpacked_cells(cells), self._first))
