"""Commits whose answer is lost: whether they stand is asked for, or said to be in doubt.

A connection that breaks while COMMIT is on its way leaves it open whether the transaction stands.
Within `settled`, PostgreSQL is asked on a new connection (`carillon.postgres.commits`). When it
says "committed", the caller notices nothing. SQLite commits inside the process: a commit that fails
there has failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, transaction


class CommitUncertain(OperationalError):
    """Nobody could say in time whether the transaction stands.

    made: what it makes, by kind, as `makes` was told: {"notification_id": "..."}.
    """

    def __init__(self, made: dict[str, str]) -> None:
        super().__init__("the answer to a commit was lost")
        self.made = made


@contextmanager
def verified() -> Iterator[None]:
    """Commits of this thread's block are asked about when their answers are lost.

    Costs some 20 us a transaction and no round trip; a transaction that only reads takes a
    transaction id, too.
    """
    database = _database()
    before = getattr(database, "verifies_commits", False)
    database.verifies_commits, database.made = True, {}
    try:
        yield
    finally:
        database.verifies_commits, database.made = before, {}


def name_created(**names: object) -> None:
    """Names what the current transaction makes, so that a caller can look for it when in doubt."""
    _database().made = {kind: str(name) for kind, name in names.items()}


def _database() -> Any:
    return transaction.get_connection()
