"""Finds out whether the database was restored, so that no client goes on at a lost position."""

from __future__ import annotations

import structlog

from notifications.infra import clock
from notifications.models import InboxEpoch

log = structlog.get_logger("carillon.inbox")
_RESTORED_S = 2.0
"""A database that stays behind the key store for so long was restored."""


class EpochCheck:
    """Looks at a start, and again after the database was away. Called about once a second."""

    def __init__(self) -> None:
        self._is_due = True
        self._behind_since: float | None = None
        self._number = 0

    def repeat(self) -> None:
        """Makes the next calls look again: the database was away."""
        self._is_due = True
        self._behind_since = None

    def run(self) -> bool:
        """Begins a new epoch where events were lost; returns whether it did."""
        if not self._is_due:
            return False
        copied, number = InboxEpoch.objects.beats()
        now = clock.monotonic()
        if self._behind_since is None:
            self._behind_since, self._number = now, number
        if copied >= self._number:  # the events of that number have arrived
            self._is_due = False
        elif now - self._behind_since >= _RESTORED_S:
            self._is_due = False
            log.warning("inbox.epoch_renewed", reason="the database was restored")
            InboxEpoch.objects.renew()
            return True
        return False
