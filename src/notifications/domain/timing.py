"""When something is due in a zone: at an instant for all, or at a time on each person's wall; once,
or by a rule. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import islice

from notifications.domain.recurrence import timed_occurrences
from notifications.domain.recurrence_rule import Rule
from notifications.domain.wall_clock import LAST_COUNTED, counted, instant_of

PROMPT = timedelta(minutes=1)
"""What leaves later than this after its time is late."""

MAX_MISSED = 20_000
"""Occurrences that are looked through for the last one that was missed."""


class Misfire(StrEnum):
    """What becomes of something whose time passed while nothing could leave."""

    SKIP = "skip"
    SEND_LATE = "send_late"
    SEND_WITHIN = "send_within"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time of a timing in a zone. wall: what the clock shows (naive); missed: how many before
    it were passed over."""

    wall: datetime
    at: datetime
    missed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Exactly one of wall (naive, the same on every wall) and instant is given.

    zone: the one zone that counts; None for each person's own.
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
        """The wall-clock time (naive) in a zone from which the timing counts."""
        if self.wall is not None:
            return self.wall
        assert self.instant is not None
        return counted(self.instant).astimezone(zone).replace(tzinfo=None)

    def first_in(self, zone: tzinfo) -> Occurrence:
        """The one time of a timing without a rule."""
        wall = self.start_in(zone)
        return Occurrence(wall, counted(self.instant or instant_of(wall, zone)).astimezone(UTC))

    def next_in(
        self, zone: tzinfo, *, after: datetime, behind: datetime | None = None
    ) -> Occurrence | None:
        """The first occurrence later than an instant, and of a later wall-clock time than
        `behind`; None when there is none."""
        assert self.rule is not None
        found = timed_occurrences(self.rule, start=self.start_in(zone), zone=zone, after=after)
        for wall, at in found:
            if at > after and (behind is None or wall > behind):
                return Occurrence(wall, at)
        return None

    def last_missed(self, found: Occurrence, zone: tzinfo, *, now: datetime) -> Occurrence:
        """The last occurrence that is not in the future, from one on that is late: of several that
        were missed only one is made up for."""
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
        """Until when something due at an instant may leave."""
        if self.misfire is Misfire.SEND_LATE:
            return None
        patience = PROMPT if self.misfire is Misfire.SKIP else self.grace
        return at + min(patience, LAST_COUNTED - counted(at))
