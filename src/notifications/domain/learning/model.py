"""The model: a Beta distribution of the engagement rate for each hour, with a prior of all people.

Of an hour with `handed` messages of which `succeeded` were engaged with, the posterior mean is
(weight * prior + succeeded) / (weight + handed). The prior of an hour is the rate of all people in
it, drawn to their rate in all hours where it has few messages. All of it is repeatable: no draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from notifications.domain.learning.counts import NONE, HourCounts, total

PRIOR_WEIGHT = 10.0
"""The prior counts as much as so many messages of the person."""
HOUR_WEIGHT = 200.0
"""The rate of all hours counts as much as so many messages in the rate of one hour."""
OWN_ENOUGH, ALL_ENOUGH = 3, 200
"""So many messages of the person, or of all people, tell something of an hour."""
_FIRST_HANDED, _FIRST_SUCCEEDED = 20.0, 1.0
"""What the rate of all hours begins with: one in twenty."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of a person in one hour, or on one channel."""

    handed: int
    succeeded: int
    #: The mean before their own messages count.
    prior: float

    @property
    def mean(self) -> float:
        """The mean of the posterior, from 0 to 1."""
        return (PRIOR_WEIGHT * self.prior + self.succeeded) / (PRIOR_WEIGHT + self.handed)


def successes(counts: HourCounts, *, with_opens: bool) -> tuple[int, int]:
    """Returns (messages, successes) of counts. Engagement without its hand-over is none yet."""
    handed = max(0, counts.handed)
    return handed, min(handed, max(0, counts.engaged if with_opens else counts.clicked))


@dataclass(frozen=True, slots=True)
class Model:
    """The counts of one person on one channel, and those of all people on it."""

    own: Mapping[int, HourCounts]
    everyone: Mapping[int, HourCounts]
    #: Whether opens are successes, too.
    with_opens: bool = False

    def overall(self) -> float:
        """Returns the rate of all people in all hours."""
        handed, succeeded = self._read(total(self.everyone.values()))
        return (_FIRST_SUCCEEDED + succeeded) / (_FIRST_HANDED + handed)

    def prior(self, hour: int) -> float:
        """Returns the rate of all people in an hour of the week."""
        handed, succeeded = self._read(self.everyone.get(hour, NONE))
        return (HOUR_WEIGHT * self.overall() + succeeded) / (HOUR_WEIGHT + handed)

    def at(self, hour: int) -> Posterior:
        """Returns what is known of the person in an hour of the week."""
        return Posterior(*self._read(self.own.get(hour, NONE)), self.prior(hour))

    @property
    def is_reported(self) -> bool:
        """Whether someone engaged on the channel: else nothing may be reported of it."""
        sums = total(self.own.values()), total(self.everyone.values())
        return any(self._read(each)[1] > 0 for each in sums)

    def is_tried(self, hour: int) -> bool:
        """Returns whether enough was sent in an hour of the week, to the person or to all."""
        own, of_all = self.own.get(hour, NONE), self.everyone.get(hour, NONE)
        return own.handed >= OWN_ENOUGH or of_all.handed >= ALL_ENOUGH

    def whole(self) -> Posterior:
        """Returns what is known of the person on the channel, in all hours."""
        return Posterior(*self._read(total(self.own.values())), self.overall())

    def _read(self, counts: HourCounts) -> tuple[int, int]:
        return successes(counts, with_opens=self.with_opens)
