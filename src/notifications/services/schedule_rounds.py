"""The schedule's rounds where no beat runs: the same work at the same times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from notifications.services.rescheduling import clean_up_cancelled, process_due, retry_stuck

PROCESS_EVERY = timedelta(minutes=1)
RETRY_EVERY = timedelta(minutes=5)
CLEAN_UP_EVERY = timedelta(days=1)
CLEAN_UP_AT = timedelta(hours=3)
_NEVER = -1


class ScheduleRounds:
    """Does what has come round: at full minutes, at every fifth, and daily at 03:00 UTC.

    A round is a number of periods since 1970, so that waking late or often changes nothing but
    when; the first look does everything that is not daily.
    """

    def __init__(self) -> None:
        self._done: dict[Callable[..., Any], int] = {}

    def look(self, now: datetime) -> None:
        """Does the rounds that have begun since the last look."""
        for work, every, offset in (
            (process_due, PROCESS_EVERY, timedelta()),
            (retry_stuck, RETRY_EVERY, timedelta()),
            (clean_up_cancelled, CLEAN_UP_EVERY, CLEAN_UP_AT),
        ):
            current = int((now.timestamp() - offset.total_seconds()) // every.total_seconds())
            first = current if every >= CLEAN_UP_EVERY else _NEVER
            if self._done.setdefault(work, first) != current:
                work(now=now)
                self._done[work] = current
