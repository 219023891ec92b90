"""Beat's schedule, in memory: the database knows what is due."""

from __future__ import annotations

from typing import Any

import structlog
from celery.beat import ScheduleEntry, Scheduler
from django.db import DatabaseError, InterfaceError, connections

from notifications.models import InstallationState
from notifications.models.operations.installation import NotSettled

log = structlog.get_logger("carillon.beat")


class QuietScheduler(Scheduler):
    """A scheduler that logs a line, and not a traceback, for each task without a broker."""

    def setup_schedule(self) -> None:
        """Reads the schedule. Ends the process where the database is restored and not settled."""
        try:
            InstallationState.objects.check_settled()
        except NotSettled as error:
            raise SystemExit(f"Error: {error}") from error
        except (DatabaseError, InterfaceError) as error:  # it only wakes workers, and they check
            log.info("beat.state_unknown", reason=" ".join(str(error).split()))
        finally:
            connections.close_all()
        super().setup_schedule()

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:
            log.warning("beat.unsent", task=entry.task, error=type(error).__name__)
