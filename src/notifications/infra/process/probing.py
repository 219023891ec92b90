"""Runs checks that may hang, each in a thread of its own, with a limit for the wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connections

from notifications.infra import clock


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of a check. error: None when it succeeded. at: on the monotonic clock."""

    error: Exception | None
    at: float


class Probe:
    """One check that runs in at most one thread at a time, for all callers.

    A check that hangs costs this one thread. Other callers wait for the same result. The thread has
    database connections of its own and closes them.
    """

    def __init__(self, name: str, call: Callable[[], None]) -> None:
        self._name = name
        self._call = call
        self._lock = threading.Lock()
        self._began_at = 0.0
        self._running: threading.Event | None = None
        self._last: ProbeResult | None = None

    def check(
        self, *, within_s: float, fresh_s: float = 0.0, retry_s: float = 0.0
    ) -> ProbeResult | None:
        """Returns the result, or None when there is none within `within_s`.

        A success is used for fresh_s, an error for retry_s. Then the check runs again.
        """
        with self._lock:
            if self._running is None:
                if self._last is not None and self._is_fresh(self._last, fresh_s, retry_s):
                    return self._last
                self._begin()
            running = self._running
        assert running is not None
        return self._last if running.wait(within_s) else None

    def hanging_s(self) -> float:
        """Returns for how many seconds the check has been running; 0 when it does not run."""
        with self._lock:
            return clock.monotonic() - self._began_at if self._running is not None else 0.0

    def forget(self) -> None:
        """Drops the last result and one in progress. The next caller starts a new check."""
        with self._lock:
            self._last = self._running = None

    def _is_fresh(self, last: ProbeResult, fresh_s: float, retry_s: float) -> bool:
        good_for = fresh_s if last.error is None else retry_s
        return clock.monotonic() - last.at < good_for

    def _begin(self) -> None:
        self._began_at = clock.monotonic()
        self._running = running = threading.Event()
        name = f"probe-{self._name}"
        threading.Thread(target=self._run, args=[running], name=name, daemon=True).start()

    def _run(self, running: threading.Event) -> None:
        error: Exception | None = None
        try:
            self._call()
        except Exception as raised:
            error = raised
        try:
            connections.close_all()
        except Exception as raised:
            error = error or raised
        with self._lock:
            if self._running is running:  # unless `forget` was called meanwhile
                self._last = ProbeResult(error, clock.monotonic())
                self._running = None
        running.set()
