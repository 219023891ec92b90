"""Readers of times that never fail.

A `timestamptz` may be infinite, before Christ or after the year 9999. Python cannot represent it,
so one such row would make every query fail that reads it. These readers return the nearest end of
the range that the service accepts.
"""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime, time
from typing import Any

from psycopg import DataError
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap
from psycopg.types.datetime import DateLoader, TimeLoader, TimestamptzLoader

from directory.moments import EARLIEST, LATEST, clamp_moment


class StoredMoment(TimestamptzLoader):
    """A `timestamptz` as a time in UTC, within the accepted range."""

    timezone = UTC  # Django compares it with the connection's own

    def load(self, data: Buffer) -> datetime:
        try:
            found = datetime.fromisoformat(bytes(data).decode())
        except ValueError:
            return self._load_odd(data)
        # The fast path of nearly all times: the pipeline reads one or two per message.
        ordinary = found.tzinfo is UTC and EARLIEST <= found <= LATEST
        return found if ordinary else self._load_odd(data)

    def _load_odd(self, data: Buffer) -> datetime:
        try:
            # The session's zone is UTC, by Django's own set-up.
            return clamp_moment(super().load(data).replace(tzinfo=UTC))
        except DataError:
            return EARLIEST if _is_past(data) else LATEST


class StoredDay(DateLoader):
    """A `date`; one that Python cannot represent is an end of the accepted range."""

    def load(self, data: Buffer) -> date:
        try:
            return super().load(data)
        except DataError:
            return (EARLIEST if _is_past(data) else LATEST).date()


class StoredTime(TimeLoader):
    """A `time`; 24:00 is midnight."""

    def load(self, data: Buffer) -> time:
        try:
            return super().load(data)
        except DataError:
            return time()


def _is_past(data: Buffer) -> bool:
    text = bytes(data)
    return text.startswith(b"-") or text.endswith(b"BC")


@functools.cache
def lenient_adapters(template: Any) -> AdaptersMap:
    """Returns Django's adapters with these readers instead of its own."""
    found = AdaptersMap(template)
    found.register_loader("timestamptz", StoredMoment)
    found.register_loader("date", StoredDay)
    found.register_loader("time", StoredTime)
    return found
