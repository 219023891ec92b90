"""Runs work on the database in a few threads of the hub's own, so that it waits for no request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.db import close_old_connections

from notifications.api.errors import Overloaded
from vault.store import scope as key_scope

T = TypeVar("T")


class Threads:
    """A bounded number of threads, and of calls that wait for one.

    Each call has keys of its own, and gives its connection back.
    """

    def __init__(self, name: str, threads: int, *, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"inbox {name}")
        self._most = threads + waiting
        self._running = 0

    async def run(self, call: Callable[[], T]) -> T:
        """Returns the result of a call.

        Raises:
            Overloaded: too many calls wait.
        """
        if self._running >= self._most:
            raise Overloaded
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, _clean(call))
        finally:
            self._running -= 1

    def begin(self, call: Callable[[], object]) -> Future[object]:
        """Begins a call without waiting for it, also where it is one too many."""
        return self._pool.submit(_clean(call))

    def finish(self, call: Callable[[], object]) -> None:
        """Runs a last call, and ends the threads."""
        self._pool.submit(_clean(call))
        self._pool.shutdown(wait=True)

    def shutdown(self) -> None:
        """Waits for the running calls."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _clean(call: Callable[[], T]) -> Callable[[], T]:
    def run() -> T:
        try:
            with key_scope():
                return call()
        finally:
            close_old_connections()

    return run
