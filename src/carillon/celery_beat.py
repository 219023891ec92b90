"""Beat's schedule, in memory: the database knows what is due."""

from __future__ import annotations

from typing import Any

import structlog
from celery.beat import ScheduleEntry, Scheduler

log = structlog.get_logger("carillon.beat")


class QuietScheduler(Scheduler):
    """A scheduler that logs a line, and not a traceback, for each task without a broker."""

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:
            log.warning("beat.unsent", task=entry.task, error=type(error).__name__)
