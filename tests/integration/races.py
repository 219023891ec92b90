"""A second process for tests of races, and how they wait for its locks. On PostgreSQL alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
from django.db import connection, transaction

PATIENCE_S = 10.0


class Other:
    """A second process: a thread with a connection of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)

    def start(self, work: Callable[[], Any]) -> Future[Any]:
        def run() -> Any:
            try:
                with transaction.atomic():
                    return work()
            finally:
                connection.close()

        return self._thread.submit(run)

    def close(self) -> None:
        self._thread.shutdown()


@pytest.fixture
def other() -> Iterator[Other]:
    made = Other()
    yield made
    made.close()


def is_blocked() -> bool:
    """Whether a session of this database waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database())"
        )
        return bool(cursor.fetchone()[0])


def wait_until_blocked_or_done(work: Future[Any]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not (is_blocked() or work.done()):
        assert time.monotonic() < until, "neither blocked nor done"
        wait([work], timeout=0.01)
