"""The steps of a series, and when each is due in the time zone of a person. Pure.

Days are those of the calendar: after a clock change, a step is due at the same local time. Minutes
are elapsed time. Local times follow the rules of domain/wall_clock.py: one that a clock skips is
due when the gap ends, and one that it shows twice is due at its first occurrence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Any

from notifications.domain.wall_clock import counted, counted_wall, instant_of

MOST_STEPS = 20
MOST_DAYS, MOST_MINUTES = 365, 10_080
MOST_WINDOW_HOURS = 24
"""For how many hours a learned hour may delay a step."""
_LEARNED = "learned"
LATE = timedelta(hours=1)
"""A step that is so late waits for its local time again, and the next one counts from the send."""
_DAY = timedelta(days=1)
_MOST_TRIED = 4


class StepKind(StrEnum):
    """What a step does. The rows of people in a series hold any kind of step."""

    SEND = "send"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesStep:
    """A wait, and what follows it."""

    template_path: str
    #: Calendar days in the zone of the person, since the step before or the entry.
    wait_days: int = 0
    #: Minutes that follow the days.
    wait_minutes: int = 0
    #: The local time at which it is due, the next one after the wait; None: right after the wait.
    at: time | None = None
    #: Each person is due at the hour at which they engage most, within a window from then on.
    learns: bool = False
    window_hours: int = MOST_WINDOW_HOURS
    #: Whether an hour of the night may be learned, too.
    at_night: bool = False
    #: The percent of the people for whom the model does not choose.
    learning_holdout_percent: float = 10.0
    kind: StepKind = StepKind.SEND

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> SeriesStep:
        """Returns the step that `stored` wrote."""
        at = stored.get("at")
        return cls(
            template_path=stored["template_path"],
            wait_days=stored.get("wait_days", 0),
            wait_minutes=stored.get("wait_minutes", 0),
            at=time.fromisoformat(at) if at else None,
            **_read_learned(stored),
            kind=StepKind(stored.get("kind", StepKind.SEND)),
        )

    def stored(self) -> dict[str, Any]:
        """Returns the step as JSON."""
        found = {
            "kind": str(self.kind),
            "template_path": self.template_path,
            "wait_days": self.wait_days,
            "wait_minutes": self.wait_minutes,
            "at": self.at.isoformat("minutes") if self.at else None,
        }
        if self.learns:
            found |= {
                "send_time": _LEARNED,
                "send_window_hours": self.window_hours,
                "send_at_night": self.at_night,
                "learning_holdout_percent": self.learning_holdout_percent,
            }
        return found


def _read_learned(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a step that learns; none for one that does not."""
    if stored.get("send_time") != _LEARNED:
        return {}
    return {
        "learns": True,
        "window_hours": stored["send_window_hours"],
        "at_night": stored["send_at_night"],
        "learning_holdout_percent": stored["learning_holdout_percent"],
    }


def due_after(base: datetime, step: SeriesStep, zone: tzinfo) -> datetime:
    """Returns when a step is due (UTC), never before `base`.

    base: the instant from which its wait counts.
    """
    base = counted(base).astimezone(UTC)
    due = base
    if step.wait_days:  # without days, an hour that a clock shows twice would lose its second half
        wall = base.astimezone(zone).replace(tzinfo=None) + step.wait_days * _DAY
        due = instant_of(counted_wall(wall), zone)
    due = max(due + timedelta(minutes=step.wait_minutes), base)
    return due if step.at is None else next_local(step.at, zone, since=due)


def next_local(at: time, zone: tzinfo, *, since: datetime) -> datetime:
    """Returns the first instant (UTC), not before `since`, at which the clock of a zone shows `at`.

    Where a clock skips the time on that day, it is the instant at which the gap ends.
    """
    since = counted(since).astimezone(UTC)
    wall = datetime.combine(since.astimezone(zone).date(), at)
    for number in range(_MOST_TRIED):
        found = instant_of(counted_wall(wall + number * _DAY), zone)
        if found >= since:
            return found
    return since


def entry_base(entered_at: datetime, day: date | None, zone: tzinfo) -> datetime:
    """Returns the instant from which the first wait counts: the entry, or the beginning of a day.

    day: that of a date in the person's attributes; None without one.
    """
    if day is None:
        return entered_at
    return instant_of(counted_wall(datetime.combine(day, time())), zone)


def due_again(due: datetime, step: SeriesStep, zone: tzinfo, *, now: datetime) -> datetime:
    """Returns when a due step is sent: now, or at its next local time where it is late."""
    if step.at is None or now - due <= LATE:
        return now
    return next_local(step.at, zone, since=now)


def next_base(due: datetime, *, now: datetime) -> datetime:
    """Returns from when the next step counts: from when a step was due, or now where it was late.

    So the time of rounds does not add up, and a long pause does not send all steps at once.
    """
    return due if now - due <= LATE else now


def zone_days(now: datetime) -> date:
    """Returns the latest date that a clock shows anywhere at an instant."""
    return (counted(now).astimezone(UTC) + timedelta(hours=14)).date()
