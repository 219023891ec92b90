"""Collects hits in memory and writes them together, each second, from one thread.

The endpoints are public, so everything here is bounded: repeats are collapsed, and hits above the
limits are dropped and counted. A redirect never waits for the database. While the database is
away hits wait here; what does not fit, and what a killed process held, is lost.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import connections

from notifications.domain.engagement import EventKind
from notifications.infra import ports
from notifications.infra.database.errors import is_unavailable
from notifications.infra.telemetry import TRACKING

MOST_WAITING = 20_000
"""Hits that wait for the next write."""
MOST_OF_MESSAGE = 50
"""Those of one message, so that one mail cannot fill the queue."""
MOST_RECENT = 50_000
"""Keys of hits that are remembered, so that repeats are recognised."""
REPEAT_S = 5.0
WRITE_EVERY_S = 1.0
MOST_TOGETHER = 1_000
log = structlog.get_logger("carillon.tracking")


@dataclass(slots=True)
class Hit:
    """One verified request; `repeats` counts those like it that came within seconds."""

    message_id: int
    kind: EventKind
    #: The place of the link; None for the pixel.
    link: int | None
    at: datetime
    method: str
    agent: str
    network: str
    headers: dict[str, str]
    country: str = ""
    repeats: int = 1

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two hits the same."""
        return self.message_id, self.kind, self.link, self.method, self.agent, self.network


Write = Callable[[Sequence[Hit]], Sequence[Hit]]
"""Stores hits in one transaction; returns those that must wait."""


class HitCollector:
    """The hits of this process. May be used from any thread."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lock = threading.Lock()
        #: Held while parts are written, so that the end of the process waits for a running write.
        self._writing = threading.Lock()
        self._waiting: OrderedDict[tuple[Any, ...], Hit] = OrderedDict()
        self._recent: OrderedDict[tuple[Any, ...], float] = OrderedDict()
        self._of_message: Counter[int] = Counter()
        self._is_running = False
        self.starts_thread = True
        """False in tests, which call `write_now`."""

    def add(self, hit: Hit) -> None:
        """Takes a hit. It never waits for the database, and never fails."""
        with self._lock:
            result = self._take(hit)
            begin = result == "taken" and self.starts_thread and not self._is_running
            self._is_running |= begin
        TRACKING.labels(hit.kind, result).inc()
        if begin:
            self._begin()

    def _take(self, hit: Hit) -> str:
        now = hit.at.timestamp()
        key = hit.key
        waiting = self._waiting.get(key)
        if waiting is not None:  # also after REPEAT_S, while the database is away
            waiting.repeats = min(waiting.repeats + 1, 32_767)
            return "repeated"
        seen = self._recent.get(key)
        if seen is not None and now - seen < REPEAT_S:
            return "repeated"
        of_message = self._of_message[hit.message_id]
        if len(self._waiting) >= MOST_WAITING or of_message >= MOST_OF_MESSAGE:
            return "dropped"
        self._of_message[hit.message_id] = of_message + 1
        self._recent[key] = now
        self._recent.move_to_end(key)
        while len(self._recent) > MOST_RECENT:
            self._recent.popitem(last=False)
        self._waiting[key] = hit
        return "taken"

    def write_now(self) -> int:
        """Writes what waits; returns how many hits it wrote.

        A part that the database refuses is dropped: it would be refused for ever.

        Raises:
            DatabaseError, InterfaceError: the database is away; the hits of this part wait on.
        """
        with self._writing:
            return self._write_parts()

    def _write_parts(self) -> int:
        written = 0
        later: list[Hit] = []
        while part := self._next_part():
            try:
                early = self._write(part)
            except Exception as error:
                if is_unavailable(error):
                    self._put_back([*later, *part])
                    raise
                log.exception("tracking.refused", count=len(part))
                _count(part, "refused")
                continue
            written += len(part) - len(early)
            later += early
        self._put_back(later)
        return written

    def forget(self) -> None:
        """Drops everything. For tests: a rolled-back database assigns the same keys again."""
        with self._lock:
            self._waiting.clear()
            self._recent.clear()
            self._of_message.clear()

    def _next_part(self) -> list[Hit]:
        with self._lock:
            count = min(len(self._waiting), MOST_TOGETHER)
            part = [self._waiting.popitem(last=False)[1] for _ in range(count)]
            for hit in part:
                self._of_message[hit.message_id] -= 1
            if not self._waiting:
                self._of_message.clear()
        return part

    def _put_back(self, part: Sequence[Hit]) -> None:
        lost = []
        with self._lock:
            for hit in reversed(part):
                if len(self._waiting) >= MOST_WAITING or hit.key in self._waiting:
                    lost.append(hit)
                    continue
                self._waiting[hit.key] = hit
                self._waiting.move_to_end(hit.key, last=False)
                self._of_message[hit.message_id] += 1
        _count(lost, "dropped")

    def _begin(self) -> None:
        """Starts the thread that writes. It ends when nothing waits."""
        try:
            ports.Thread(target=self._run, name="tracking", daemon=True).start()
        except RuntimeError as error:  # the interpreter ends, or no thread is left
            with self._lock:
                self._is_running = False
            log.warning("tracking.no_thread", error=str(error))

    def close(self, seconds: float) -> None:
        """Writes what waits, for the end of the process. It takes so many seconds at most."""
        last = ports.Thread(target=self._try_write, name="tracking-end", daemon=True)
        last.start()
        last.join(seconds)

    def _run(self) -> None:
        while True:
            ports.sleep(WRITE_EVERY_S)
            self._try_write()
            with self._lock:
                if not self._waiting:
                    self._is_running = False
                    break
        connections.close_all()

    def _try_write(self) -> None:
        """Writes. While the database is away, what waits is tried again."""
        try:
            self.write_now()
        except Exception as error:
            if is_unavailable(error):
                log.warning("tracking.waits", error=type(error).__name__)
                connections.close_all()
            else:
                log.exception("tracking.failed")


def _count(hits: Sequence[Hit], result: str) -> None:
    for hit in hits:
        TRACKING.labels(hit.kind, result).inc()
