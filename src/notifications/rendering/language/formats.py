"""Formats numbers, money, dates and times for a locale (Babel, CLDR), faster than Babel.

Babel takes 6 to 40 us for a number. `_Affixes` learns from Babel how a locale writes a kind of
number (signs, symbols, separators, digits) and checks itself against Babel on several probes.
From then on it uses Python's own formatter. What it cannot reproduce exactly, such as Indian
grouping, is always left to Babel.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel import dates as babel_dates
from babel import numbers as babel_numbers

MAX_EXPONENT = 30
MAX_DECIMALS = 12
_NO_CURRENCY = "currency needs an ISO 4217 code such as 'EUR'"
_LENGTHS = ("short", "medium", "long", "full")
_PATTERN = re.compile(r"[GyYuUQqMLwWdDFgEecabBhHKkjmsSAzZOvVXx .,:/'|()-]{1,40}")
_PROBES = ("0", "1", "12.5", "0.125", "999.995", "1234", "9876.54321", "12345.678", "1234567.891")


class FormatFault(ValueError):
    """A filter cannot use a value or an argument. The text never holds the value itself."""


def to_decimal(value: Any, what: str) -> Decimal:
    """Converts a number, a Decimal or a numeric text to a Decimal.

    Raises:
        FormatFault: the value is no such number; names its type.
    """
    if type(value) is float:
        number = Decimal(repr(value))
    elif isinstance(value, Decimal):
        number = value
    elif isinstance(value, int) and not isinstance(value, bool):
        number = Decimal(value)
    elif isinstance(value, str):
        number = _parse(value, what)
    else:
        raise FormatFault(f"{what} needs a number, not {type(value).__name__}")
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        raise FormatFault(f"{what} needs a finite number of sensible size")
    return number


def _parse(text: str, what: str) -> Decimal:
    try:
        return Decimal(text.strip()) if len(text) <= 64 else Decimal("NaN")
    except InvalidOperation:
        raise FormatFault(f"{what} needs a number, not a str that is no number") from None


def to_datetime(value: Any, what: str) -> datetime:
    """Converts a datetime, a date or an ISO 8601 text to an aware datetime; UTC if no offset.

    Raises:
        FormatFault: the value is no such time; names its type.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise FormatFault(f"{what} needs a time, not a str that is no ISO 8601 time") from None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise FormatFault(f"{what} needs a date or time, not {type(value).__name__}")


class _Affixes:
    """The form of one kind of number in a locale, learned from Babel once."""

    def __init__(
        self, slow: Callable[[Decimal], str], locale: Locale, digits: int, scale: int = 0
    ) -> None:
        self._slow, self._spec, self._scale = slow, f",.{digits}f", scale
        self._group = babel_numbers.get_group_symbol(locale)
        self._point = babel_numbers.get_decimal_symbol(locale)
        self._plus = self._learn(slow(Decimal("9")))
        self._minus = self._learn(slow(Decimal("-9")))
        self._exact = all(
            self._write(number) == slow(number)
            for probe in _PROBES
            for number in (Decimal(probe), Decimal("-" + probe))
        )

    @staticmethod
    def _learn(shown: str) -> tuple[str, str]:
        first = re.search(r"\d", shown)
        last = re.search(r"\d\D*$", shown)
        if first is None or last is None:
            return ("", "")
        return shown[: first.start()], shown[last.start() + 1 :]

    def write(self, number: Decimal) -> str:
        """Returns the number as the locale writes it."""
        return self._write(number) if self._exact else self._slow(number)

    def _write(self, number: Decimal) -> str:
        prefix, suffix = self._minus if number.is_signed() else self._plus
        digits = format(abs(number).scaleb(self._scale) if self._scale else abs(number), self._spec)
        if self._group != "," or self._point != ".":
            digits = digits.replace(",", "\0").replace(".", self._point)
            digits = digits.replace("\0", self._group)
        return f"{prefix}{digits}{suffix}"


@functools.lru_cache(maxsize=1024)
def _money(locale: Locale, code: str) -> _Affixes:
    if not babel_numbers.is_currency(code):
        raise FormatFault(_NO_CURRENCY)
    digits = babel_numbers.get_currency_precision(code)
    return _Affixes(
        lambda number: babel_numbers.format_currency(number, code, locale=locale), locale, digits
    )


@functools.lru_cache(maxsize=1024)
def _fixed(locale: Locale, decimals: int) -> _Affixes:
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return _Affixes(
        lambda number: babel_numbers.format_decimal(number, pattern, locale=locale),
        locale,
        decimals,
    )


@functools.lru_cache(maxsize=1024)
def _percent(locale: Locale, decimals: int) -> _Affixes:
    zeros = "." + "0" * decimals if decimals else ""
    pattern = str(locale.percent_formats[None].pattern)
    pattern = re.sub(r"0(?=[^0#,.]*$)", "0" + zeros, pattern, count=1)
    return _Affixes(
        lambda number: babel_numbers.format_percent(number, pattern, locale=locale),
        locale,
        decimals,
        scale=2,
    )


def _decimals(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_DECIMALS:
        raise FormatFault(f"decimals must be a whole number from 0 to {MAX_DECIMALS}")
    return value


class Formats:
    """Formats values for one locale and time zone."""

    __slots__ = ("_moneys", "locale", "zone")

    def __init__(self, locale: Locale, zone: tzinfo) -> None:
        self.locale = locale
        self.zone = zone
        self._moneys: dict[str, _Affixes] = {}

    def as_currency(self, value: Any, code: Any = "USD") -> str:
        """Formats money: 29.99 -> $29.99 (en), 29,99 $ (ru). The code is ISO 4217."""
        if not isinstance(code, str):
            raise FormatFault(_NO_CURRENCY)
        money = self._moneys.get(code)
        if money is None:
            money = self._moneys[code] = _money(self.locale, code)
        return money.write(to_decimal(value, "currency"))

    def as_number(self, value: Any, decimals: Any = None) -> str:
        """Formats a number: 1234.5 -> 1,234.5; with decimals, exactly that many."""
        number = to_decimal(value, "number")
        if decimals is not None:
            return _fixed(self.locale, _decimals(decimals)).write(number)
        return babel_numbers.format_decimal(number, locale=self.locale)

    def as_percent(self, value: Any, decimals: Any = 0) -> str:
        """Formats a percentage: 0.153 -> 15%; with decimals=1, 15.3%."""
        return _percent(self.locale, _decimals(decimals)).write(to_decimal(value, "percent"))

    def as_date(self, value: Any, pattern: Any = "medium") -> str:
        """Formats a date: short, medium, long, full, or a CLDR pattern such as 'd MMMM y'."""
        if isinstance(value, date) and not isinstance(value, datetime):
            moment: date = value  # a plain date has no zone and must not shift by a day
        elif isinstance(value, str) and len(value.strip()) == 10:
            moment = to_datetime(value, "date").date()
        else:
            moment = to_datetime(value, "date").astimezone(self.zone).date()
        return babel_dates.format_date(moment, _date_pattern(pattern), locale=self.locale)

    def as_time(self, value: Any, pattern: Any = "short") -> str:
        """Formats a time of day in the reader's zone."""
        moment = to_datetime(value, "time").astimezone(self.zone)
        return babel_dates.format_time(
            moment, _date_pattern(pattern), tzinfo=self.zone, locale=self.locale
        )

    def as_datetime(self, value: Any, pattern: Any = "medium") -> str:
        """Formats a date with its time of day in the reader's zone."""
        moment = to_datetime(value, "datetime").astimezone(self.zone)
        return babel_dates.format_datetime(
            moment, _date_pattern(pattern), tzinfo=self.zone, locale=self.locale
        )

    def time_ago(self, value: Any, now: datetime) -> str:
        """Formats the elapsed time in whole days, else hours, else minutes, else seconds."""
        passed = now - to_datetime(value, "time_ago")
        seconds = int(passed.total_seconds())
        unit, size = next(
            (
                (name, length)
                for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60))
                if abs(seconds) >= length
            ),
            ("second", 1),
        )
        whole = abs(seconds) // size * size
        return babel_dates.format_timedelta(
            timedelta(seconds=whole if seconds < 0 else -whole),
            granularity=unit,  # type: ignore[arg-type]  # one of Babel's literals, by construction
            threshold=float("inf"),
            add_direction=True,
            locale=self.locale,
        )


def _date_pattern(pattern: Any) -> Any:
    if pattern in _LENGTHS or (isinstance(pattern, str) and _PATTERN.fullmatch(pattern)):
        return pattern
    raise FormatFault("a date format is short, medium, long, full or a CLDR pattern like 'd MMM y'")


@functools.lru_cache(maxsize=1024)
def parse_locale(name: str) -> Locale:
    """Returns the CLDR locale of `ru`, `ru_RU` or `ru-RU`; else its language; else English."""
    for tried in (name.replace("-", "_"), re.split(r"[-_]", name)[0]):
        try:
            return Locale.parse(tried)
        except (ValueError, TypeError, UnknownLocaleError):
            continue
    return Locale("en")


@functools.lru_cache(maxsize=1024)
def parse_zone(name: str) -> tzinfo:
    """Returns the IANA zone of a name, or UTC when it is unknown."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfo raises KeyError for an unknown name
        return UTC


@functools.lru_cache(maxsize=4096)
def formats_for(locale: str, zone: str) -> Formats:
    """Returns the formats of a locale and an IANA zone, both given by name."""
    return Formats(parse_locale(locale), parse_zone(zone))
