"""The text of a recurrence rule: a subset of RFC 5545's RRULE, read strictly. Pure.

    FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9;BYMINUTE=30;UNTIL=20301231

Read: FREQ (MINUTELY to YEARLY), INTERVAL, COUNT, UNTIL, BYMONTH, BYMONTHDAY, BYDAY (with ordinals
in monthly and yearly rules), BYHOUR, BYMINUTE, BYSETPOS, WKST. SECONDLY, BYSECOND, BYYEARDAY and
BYWEEKNO are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import IntEnum

MAX_INTERVAL = 10_000
MAX_COUNT = 10_000
MAX_TEXT = 500  # characters

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_BY_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")


class InvalidRule(ValueError):
    """A recurrence rule cannot be read. The message says what to write instead."""


class Frequency(IntEnum):
    """How long one period of a rule is."""

    MINUTELY = 1
    HOURLY = 2
    DAILY = 3
    WEEKLY = 4
    MONTHLY = 5
    YEARLY = 6


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as data. Empty tuples mean parts that were not given.

    until: an instant (aware), or the last wall-clock time (naive), both included. by_day: pairs
    of an ordinal (0: every one; -1: the last) and a weekday (Monday is 0).
    """

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    by_month: tuple[int, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_day: tuple[tuple[int, int], ...] = ()
    by_hour: tuple[int, ...] = ()
    by_minute: tuple[int, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0


def parse_rule(text: str) -> Rule:
    """Reads a rule.

    Raises:
        InvalidRule: what is wrong with it.
    """
    parts = _parts(text)
    if "FREQ" not in parts:
        raise InvalidRule("FREQ is missing, e.g. FREQ=DAILY")
    try:
        frequency = Frequency[parts.pop("FREQ")]
    except KeyError:
        raise InvalidRule(f"FREQ must be one of {', '.join(Frequency.__members__)}") from None
    values = {_READERS[name][0]: _READERS[name][1](name, value) for name, value in parts.items()}
    rule = Rule(frequency, **values)  # type: ignore[arg-type]  # each reader answers its field's type
    _check(rule)
    return rule


def _parts(text: str) -> dict[str, str]:
    if len(text) > MAX_TEXT:
        raise InvalidRule(f"a rule has at most {MAX_TEXT} characters")
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise InvalidRule(f"{part!r} is not NAME=VALUE")
        if name != "FREQ" and name not in _READERS:
            raise InvalidRule(f"{name} is not understood; FREQ, {', '.join(_READERS)} are")
        if name in parts:
            raise InvalidRule(f"{name} is given twice")
        parts[name] = value
    return parts


def _check(rule: Rule) -> None:
    if rule.count is not None and rule.until is not None:
        raise InvalidRule("COUNT and UNTIL exclude each other")
    if rule.frequency < Frequency.MONTHLY and any(ordinal for ordinal, _ in rule.by_day):
        raise InvalidRule("BYDAY takes ordinals in MONTHLY and YEARLY rules only")
    if rule.frequency is Frequency.WEEKLY and rule.by_month_day:
        raise InvalidRule("BYMONTHDAY does not go with FREQ=WEEKLY")
    if rule.by_set_pos and not (
        rule.by_month or rule.by_month_day or rule.by_day or rule.by_hour or rule.by_minute
    ):
        raise InvalidRule("BYSETPOS needs another BY... part to choose from")


def _one(smallest: int, largest: int) -> Callable[[str, str], int]:
    def read(name: str, value: str) -> int:
        return _number(name, value, smallest, largest)

    return read


def _many(smallest: int, largest: int) -> Callable[[str, str], tuple[int, ...]]:
    def read(name: str, value: str) -> tuple[int, ...]:
        numbers = {_number(name, item, smallest, largest) for item in value.split(",")}
        if smallest < 0 and 0 in numbers:
            raise InvalidRule(f"{name} counts from 1, or from -1 backwards")
        return tuple(sorted(numbers))

    return read


def _number(name: str, text: str, smallest: int, largest: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,5}", text) or not smallest <= int(text) <= largest:
        raise InvalidRule(f"{name} takes whole numbers from {smallest} to {largest}, not {text!r}")
    return int(text)


def _by_day(name: str, value: str) -> tuple[tuple[int, int], ...]:
    found = set()
    for item in value.split(","):
        match = _BY_DAY.fullmatch(item)
        ordinal = int(match[1] or 0) if match else 0
        if not match or (match[1] and not 1 <= abs(ordinal) <= 53):
            raise InvalidRule(f"{name} takes weekdays such as MO, 2TU or -1FR, not {item!r}")
        found.add((ordinal, WEEKDAYS.index(match[2])))
    return tuple(sorted(found))


def _week_start(name: str, value: str) -> int:
    if value not in WEEKDAYS:
        raise InvalidRule(f"{name} takes one of {', '.join(WEEKDAYS)}, not {value!r}")
    return WEEKDAYS.index(value)


def _until(name: str, value: str) -> datetime:
    """`20301231` (that whole local day), `20301231T180000` (local) or `20301231T180000Z` (UTC)."""
    try:
        if re.fullmatch(r"[0-9]{8}", value):
            day = datetime.strptime(value, "%Y%m%d")  # noqa: DTZ007  # a wall-clock time
            return datetime.combine(day, time.max)
        if re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", value):
            return datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if re.fullmatch(r"[0-9]{8}T[0-9]{6}", value):
            return datetime.strptime(value, "%Y%m%dT%H%M%S")  # noqa: DTZ007
    except ValueError as error:
        raise InvalidRule(f"{name}: {value!r} is no date") from error
    raise InvalidRule(f"{name} takes 20301231, 20301231T180000 or 20301231T180000Z")


_READERS: Mapping[str, tuple[str, Callable[[str, str], object]]] = {
    "INTERVAL": ("interval", _one(1, MAX_INTERVAL)),
    "COUNT": ("count", _one(1, MAX_COUNT)),
    "UNTIL": ("until", _until),
    "BYMONTH": ("by_month", _many(1, 12)),
    "BYMONTHDAY": ("by_month_day", _many(-31, 31)),
    "BYDAY": ("by_day", _by_day),
    "BYHOUR": ("by_hour", _many(0, 23)),
    "BYMINUTE": ("by_minute", _many(0, 59)),
    "BYSETPOS": ("by_set_pos", _many(-366, 366)),
    "WKST": ("week_start", _week_start),
}
