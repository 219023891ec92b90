"""Questions that may hang: each is asked in a thread of its own, and waited for with a bound."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connections

from notifications.infra import clock


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a question ended. error: None when it was answered well. at: on the monotonic clock."""

    error: Exception | None
    at: float


class Probe:
    """One question, asked by one thread at a time, whoever wants the answer.

    A question that hangs costs this one thread; who asks meanwhile waits for the same answer.
    The thread has database connections of its own and gives them back.
    """

    def __init__(self, name: str, question: Callable[[], None]) -> None:
        self._name = name
        self._question = question
        self._lock = threading.Lock()
        self._asked_at = 0.0
        self._answered: threading.Event | None = None
        self._last: ProbeResult | None = None

    def check(
        self, *, within_s: float, fresh_s: float = 0.0, retry_s: float = 0.0
    ) -> ProbeResult | None:
        """The answer, or None when there is none yet.

        A good answer is good for fresh_s, an error for retry_s; then the question is asked anew.
        """
        with self._lock:
            if self._answered is None:
                if self._last is not None and self._is_fresh(self._last, fresh_s, retry_s):
                    return self._last
                self._begin()
            answered = self._answered
        assert answered is not None
        return self._last if answered.wait(within_s) else None

    def hanging_s(self) -> float:
        """For how many seconds the question has been without an answer; 0 when none is asked."""
        with self._lock:
            return clock.monotonic() - self._asked_at if self._answered is not None else 0.0

    def forget(self) -> None:
        """Forgets the last answer, and one that is still to come: the next who asks gets a new
        one."""
        with self._lock:
            self._last = self._answered = None

    def _is_fresh(self, last: ProbeResult, fresh_s: float, retry_s: float) -> bool:
        good_for = fresh_s if last.error is None else retry_s
        return clock.monotonic() - last.at < good_for

    def _begin(self) -> None:
        self._asked_at = clock.monotonic()
        self._answered = answered = threading.Event()
        name = f"probe-{self._name}"
        threading.Thread(target=self._run, args=[answered], name=name, daemon=True).start()

    def _run(self, answered: threading.Event) -> None:
        error: Exception | None = None
        try:
            self._question()
        except Exception as raised:
            error = raised
        try:
            connections.close_all()
        except Exception as raised:
            error = error or raised
        with self._lock:
            if self._answered is answered:  # nobody has forgotten it meanwhile
                self._last = ProbeResult(error, clock.monotonic())
                self._answered = None
        answered.set()
