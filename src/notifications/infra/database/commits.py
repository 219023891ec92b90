"""Verifies commits whose response was lost, or reports them as uncertain.

When a connection breaks during COMMIT, the transaction may or may not be committed. Within
`verified`, PostgreSQL is queried on a new connection (`carillon.postgres.commits`). If it
committed, the caller notices nothing. SQLite commits inside the process: a commit that fails there
has failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, transaction


class CommitUncertain(OperationalError):
    """It could not be verified in time whether a transaction committed.

    made: the ids that it creates, by kind, as given to `name_created`: {"notification_id": "..."}.
    """

    def __init__(self, made: dict[str, str]) -> None:
        super().__init__("the response to a commit was lost")
        self.made = made


class CommitAborted(OperationalError):
    """The response to a COMMIT was lost, and the transaction was certainly not committed."""


@contextmanager
def verified() -> Iterator[None]:
    """Verifies commits of this thread's block when their responses are lost.

    It costs some 20 us a transaction and no round trip. A transaction that only reads uses a
    transaction id too.
    """
    database = _database()
    before = getattr(database, "verifies_commits", False)
    database.verifies_commits, database.made = True, {}
    try:
        yield
    finally:
        database.verifies_commits, database.made = before, {}


def name_created(**names: object) -> None:
    """Names what the current transaction creates, so that a caller can look for it."""
    _database().made = {kind: str(name) for kind, name in names.items()}


def _database() -> Any:
    return transaction.get_connection()
