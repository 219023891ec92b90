"""What the time engine is held against: clocks read minute by minute, without any arithmetic."""

from __future__ import annotations

import random
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
SEED = 20300501
FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Change:
    """A zone's clock is set at an instant."""

    zone: zoneinfo.ZoneInfo
    at: datetime

    def __repr__(self) -> str:
        return f"{self.zone.key}@{self.at:%Y-%m-%dT%H:%M}"


@cache
def zones() -> tuple[str, ...]:
    """Every IANA zone."""
    return tuple(sorted(zoneinfo.available_timezones() - {"localtime", "Factory"}))


def changes_of(name: str, first: datetime = FIRST, last: datetime = LAST) -> Iterator[Change]:
    """All changes of a zone's offset between two instants."""
    zone = zoneinfo.ZoneInfo(name)
    at = first
    while at < last:
        behind = at + DAY
        if at.astimezone(zone).utcoffset() != behind.astimezone(zone).utcoffset():
            yield Change(zone, _found(zone, at, behind))
        at = behind


def _found(zone: zoneinfo.ZoneInfo, before: datetime, behind: datetime) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    for step in (timedelta(hours=1), MINUTE):
        while (before + step).astimezone(zone).utcoffset() == offset:
            before += step
    return before + MINUTE


def sampled_changes(count: int) -> list[Change]:
    """Changes of random zones in random years (the same ones in every run)."""
    turn = random.Random(SEED)
    found: list[Change] = []
    while len(found) < count:
        first = datetime(turn.randrange(1990, 2038), 1, 1, tzinfo=UTC)
        found += changes_of(turn.choice(zones()), first, first + 365 * DAY)
    return found[:count]


def distinct_changes() -> list[Change]:
    """All changes from 1990 to 2037, once for zones that are another's link."""
    seen: dict[tuple[object, ...], list[Change]] = {}
    for name in zones():
        changes = list(changes_of(name))
        seen.setdefault(
            tuple((c.at, c.at.astimezone(c.zone).utcoffset()) for c in changes), changes
        )
    return [change for changes in seen.values() for change in changes]


def walls(zone: zoneinfo.ZoneInfo, first: datetime, minutes: int) -> list[datetime]:
    """What the clock shows in each of some minutes."""
    return [
        (first + index * MINUTE).astimezone(zone).replace(tzinfo=None) for index in range(minutes)
    ]


def windows(change: Change, turn: random.Random) -> list[tuple[time, time]]:
    """Quiet hours worth trying at a change: its own minutes, the usual ones, and random ones."""
    before = (change.at - MINUTE).astimezone(change.zone)
    after = change.at.astimezone(change.zone)

    def near(wall: datetime) -> time:
        return (wall + turn.randrange(-90, 90) * MINUTE).time().replace(second=0, microsecond=0)

    return [
        (time(22), time(8)),
        (near(before), near(after)),
        (near(after), near(before)),
        (time(turn.randrange(24), turn.randrange(60)), near(after)),
    ]
