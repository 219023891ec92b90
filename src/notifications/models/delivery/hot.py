"""The statements for whole slices, with one implementation for each database.

`hot()` returns the implementation for the current connection. Everything else uses the ORM.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from django.db import connection

from notifications.models.delivery import hot_postgres, hot_sqlite
from notifications.models.delivery.hot_rows import Change, PendingMessage, Recheck

NOTIFICATIONS = "notifications_notification"
MESSAGES = "notifications_notificationmessage"


class HotSQL(Protocol):
    """What each implementation provides."""

    def time_value(self, moment: datetime | None) -> Any:
        """Returns a datetime in the form that `insert_rows` accepts."""

    def inserts_together(self, rows: int) -> AbstractContextManager[None]:
        """Sends the inserts inside it in one round trip, if none has more than `rows` rows.

        The transaction has begun before.
        """

    def insert_rows(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Inserts rows. UUIDs are passed as 32 hex digits, times as `time_value` returns them."""

    def load_pending(self, keys: Sequence[int]) -> list[PendingMessage]:
        """Returns the messages among `keys` that are still pending, in the order of their keys."""

    def insert_attempts(self, rows: Sequence[Sequence[Any]]) -> None:
        """Inserts attempts, in the order of ATTEMPT_COLUMNS."""

    def recheck(self, keys: Sequence[int], kind: str, addresses: Sequence[str]) -> Recheck:
        """Reads again, with the batches locked, what must hold before messages are dispatched."""

    def still_pending(self, keys: Sequence[int]) -> set[int]:
        """Returns which of `keys` are pending now."""

    def apply_changes(self, changes: Iterable[Change]) -> set[int]:
        """Writes results to pending or uncertain messages; returns the keys that changed.

        The caller holds the locks of the messages' batches.
        """

    def count_by_status(self, first: int, last: int, job_id: int) -> dict[str, int]:
        """Counts the messages of a job by state; the job's keys lie in [first, last]."""


_IMPLEMENTATIONS: dict[str, HotSQL] = {
    "postgresql": hot_postgres,
    "sqlite": hot_sqlite,
}


@functools.cache
def hot() -> HotSQL:
    """Returns the implementation for the default connection; it is looked up once."""
    return _IMPLEMENTATIONS[connection.vendor]
