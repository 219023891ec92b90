"""Whether this process may serve the database: a restored one may not, until it is settled.

The row is read at most once a second, by the first request that needs it. A process that started
before the restore sees it within that time.
"""

from __future__ import annotations

import threading

import structlog
from django.db import DatabaseError, InterfaceError

from carillon.serving.bridge import HEALTH_PATHS, LIVE_PATH, METRICS_PATH, TRACKING_PREFIX
from notifications.infra import clock
from notifications.models import InstallationState
from notifications.models.operations.installation import NotSettled

_TRUSTED_S = 1.0
_ALWAYS = frozenset({*HEALTH_PATHS, LIVE_PATH, METRICS_PATH})
"""Paths that are served in any case."""
log = structlog.get_logger("carillon.web")


class SettledCheck:
    """What this process knows. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_settled = True
        #: Monotonic seconds; None before the first read.
        self._read_at: float | None = None

    def is_settled(self) -> bool:
        """Whether the installation may serve requests, as of the last second.

        A database that is away says nothing: what was known stays, and requests fail in their way.
        """
        if self._is_old():
            with self._lock:  # one thread reads for all
                if self._is_old():
                    self._is_settled = self._read()
                    self._read_at = clock.monotonic()
        return self._is_settled

    def forget(self) -> None:
        """Makes the next call read the row."""
        self._read_at = None

    def _is_old(self) -> bool:
        return self._read_at is None or clock.monotonic() - self._read_at >= _TRUSTED_S

    def _read(self) -> bool:
        try:
            InstallationState.objects.check_settled()
        except NotSettled:
            return False
        except (DatabaseError, InterfaceError) as error:
            log.info("settled.unknown", reason=" ".join(str(error).split()))
            return self._is_settled
        return True


CHECK = SettledCheck()
"""The check of this process."""


def may_serve(path: str) -> bool:
    """Whether a request to this path may be served now."""
    # A link of a mail is answered without the database, which this check would wait for.
    return path in _ALWAYS or path.startswith(TRACKING_PREFIX) or CHECK.is_settled()
