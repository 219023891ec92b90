"""The statements that whole slices go through, one implementation a database.

`hot()` gives the one for the current connection. tests/integration/models/test_hot.py runs one
conformance suite on both. Everything else in the service uses the ORM.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

from django.db import connection

from notifications.models.delivery import hot_postgres, hot_sqlite
from notifications.models.delivery.hot_rows import Change, PendingMessage, Recheck

NOTIFICATIONS = "notifications_notification"
MESSAGES = "notifications_notificationmessage"


class HotSQL(Protocol):
    """What both databases can do."""

    def time_value(self, moment: datetime | None) -> Any:
        """A datetime as `insert_rows` takes it."""

    def insert_rows(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Inserts rows; UUIDs are given as 32 hex digits, times by `time_value`."""

    def load_pending(self, keys: Sequence[int]) -> list[PendingMessage]:
        """The messages among `keys` that are still pending, in the order of their keys."""

    def insert_attempts(self, rows: Sequence[Sequence[Any]]) -> None:
        """Inserts attempts, in the order of ATTEMPT_COLUMNS."""

    def recheck(self, keys: Sequence[int], kind: str, addresses: Sequence[str]) -> Recheck:
        """What must be read again under the batches' locks, before messages leave."""

    def still_pending(self, keys: Sequence[int]) -> set[int]:
        """Which of `keys` are pending now."""

    def apply_changes(self, changes: Iterable[Change]) -> set[int]:
        """Writes outcomes onto pending or uncertain messages; returns the keys that took them.

        The caller holds the lock of the messages' batches.
        """

    def count_by_status(self, first: int, last: int, job_id: int) -> dict[str, int]:
        """How many messages of a job are in each state; the job's keys lie in [first, last]."""


_IMPLEMENTATIONS: dict[str, HotSQL] = {
    "postgresql": hot_postgres,
    "sqlite": hot_sqlite,
}


@functools.cache
def hot() -> HotSQL:
    """The implementation for the default connection, which is looked up once."""
    return _IMPLEMENTATIONS[connection.vendor]
