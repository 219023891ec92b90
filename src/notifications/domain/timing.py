"""Timings: when something is due in a zone, once or by a rule. Pure.

It is due at one instant for all people, or at a wall-clock time in the zone of each person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import islice

from notifications.domain.recurrence import timed_occurrences
from notifications.domain.recurrence_rule import Rule
from notifications.domain.wall_clock import LAST_COUNTED, counted, instant_of

PROMPT = timedelta(minutes=1)
"""A message that is sent later than this after its time is late."""

MAX_MISSED = 20_000
"""How many occurrences are scanned for the last missed one."""


class Misfire(StrEnum):
    """What happens to an occurrence whose time passed while nothing could be sent."""

    SKIP = "skip"
    SEND_LATE = "send_late"
    SEND_WITHIN = "send_within"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time of a timing in a zone.

    wall: what the clock shows (naive). missed: how many occurrences before it were skipped.
    """

    wall: datetime
    at: datetime
    missed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Exactly one of wall (naive, the same in every zone) and instant is given.

    zone: the one zone for all; None for the zone of each person.
    """

    wall: datetime | None = None
    instant: datetime | None = None
    zone: tzinfo | None = None
    rule: Rule | None = None
    misfire: Misfire = Misfire.SEND_LATE
    grace: timedelta = timedelta(hours=1)

    @property
    def by_zone(self) -> bool:
        """Whether people in different zones have different times."""
        return self.zone is None and (self.wall is not None or self.rule is not None)

    def start_in(self, zone: tzinfo) -> datetime:
        """Returns the wall-clock time (naive) in a zone at which the timing starts."""
        if self.wall is not None:
            return self.wall
        assert self.instant is not None
        return counted(self.instant).astimezone(zone).replace(tzinfo=None)

    def first_in(self, zone: tzinfo) -> Occurrence:
        """Returns the one time of a timing without a rule."""
        wall = self.start_in(zone)
        return Occurrence(wall, counted(self.instant or instant_of(wall, zone)).astimezone(UTC))

    def next_in(
        self, zone: tzinfo, *, after: datetime, behind: datetime | None = None
    ) -> Occurrence | None:
        """Returns the first occurrence later than `after` and than the wall-clock time `behind`.

        Returns None when there is none.
        """
        assert self.rule is not None
        found = timed_occurrences(self.rule, start=self.start_in(zone), zone=zone, after=after)
        for wall, at in found:
            if at > after and (behind is None or wall > behind):
                return Occurrence(wall, at)
        return None

    def last_missed(self, found: Occurrence, zone: tzinfo, *, now: datetime) -> Occurrence:
        """Returns the last occurrence that is not in the future, starting from a late one.

        Of several missed occurrences only the last is sent.
        """
        assert self.rule is not None
        times = timed_occurrences(
            self.rule,
            start=self.start_in(zone),
            zone=zone,
            after=counted(found.at) - timedelta(seconds=1),
        )
        missed = 0
        for wall, at in islice(times, MAX_MISSED):
            if at > now:
                break
            if at > found.at:
                missed += 1
                found = Occurrence(wall, at, missed)
        return found

    def expires_at(self, at: datetime) -> datetime | None:
        """Returns until when an occurrence may be sent; None without an end."""
        if self.misfire is Misfire.SEND_LATE:
            return None
        grace = PROMPT if self.misfire is Misfire.SKIP else self.grace
        return at + min(grace, LAST_COUNTED - counted(at))
