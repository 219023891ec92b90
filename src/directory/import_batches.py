"""Writes the batches of an import in their order. On PostgreSQL, two of them overlap.

While the server writes one batch, this process prepares the next one in another thread and another
transaction. The result is that of one batch after another:

- Two batches overlap only if their lines certainly name different people.
- A batch is committed after the one before it.
- If one fails, or if a line of an overlapping one is wrong, both are rolled back and written again,
  one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from django.db import IntegrityError, OperationalError, connection, connections, transaction

from directory.imports.import_rows import Line
from directory.people import OnWritten, UpsertReport, upsert_people

_AT_ONCE = 2
_LOCK_WAIT = "500ms"
"""How long an overlapping batch waits for a lock. One that waits for the batch after it would wait
for ever, because that one waits for its commit. Batches that are written again wait as usual."""
OnBatch = Callable[[UpsertReport, int], None]
"""Takes the report of a batch and the number of lines that were read until its end."""


class _Again(Exception):
    """The batch was rolled back: another one may have changed its result."""


@dataclass
class _Batch:
    lines: Sequence[Line]
    #: The number of lines that were read until its end.
    seen: int
    #: The one key by which all lines name their people; None: they use several, or an address.
    named_by: str | None = None
    #: Every key and device of its lines.
    names: set[tuple[str, object]] = field(default_factory=set)
    written: Future[UpsertReport] = field(default_factory=Future)

    def __post_init__(self) -> None:
        kinds = {None if line.by_email else line.keys[0][0] for line in self.lines}
        self.named_by = kinds.pop() if len(kinds) == 1 else None
        for line in self.lines:
            self.names.update(line.keys)
            self.names.update(("device", each.token) for each in line.related.get("devices", ()))

    def may_overlap(self, other: _Batch) -> bool:
        """Returns whether no line of this batch can name a person of the other one."""
        return self.named_by == other.named_by and self.names.isdisjoint(other.names)


def _limit_waits() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")


class BatchWriter:
    """Writes batches; calls `on_batch` for each one, in their order, in the caller's thread.

    Used as a context manager. Within a transaction of the caller, and on SQLite, it writes one
    batch after another in the caller's thread.
    """

    def __init__(self, on_batch: OnBatch, on_written: OnWritten | None) -> None:
        self._on_batch = on_batch
        self._on_written = on_written
        self._overlaps = connection.vendor == "postgresql" and not connection.in_atomic_block
        self._pool = ThreadPoolExecutor(_AT_ONCE, "import")
        self._running: deque[_Batch] = deque()

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def write(self, lines: Sequence[Line], seen: int) -> None:
        """Writes a batch, or begins to."""
        batch = _Batch(lines, seen)
        if not self._overlaps or batch.named_by is None:
            self.drain()
            self._write_now(batch)
            return
        while len(self._running) >= _AT_ONCE:
            self._finish_first()
        if self._running and not batch.may_overlap(self._running[-1]):
            self.drain()
        before = self._running[-1].written if self._running else None
        batch.written = self._pool.submit(self._write_in_turn, lines, before)
        self._running.append(batch)

    def drain(self) -> None:
        """Waits until every batch is written."""
        while self._running:
            self._finish_first()

    def _finish_first(self) -> None:
        batch = self._running.popleft()
        try:
            report = batch.written.result()
        except (_Again, IntegrityError, OperationalError):
            later = list(self._running)
            self._running.clear()
            wait([each.written for each in later])  # none is committed: each waits for this one
            for each in (batch, *later):
                self._write_now(each)
        else:
            self._on_batch(report, batch.seen)

    def _write_in_turn(
        self, lines: Sequence[Line], before: Future[UpsertReport] | None
    ) -> UpsertReport:
        overlapped = before is not None and not before.done()
        try:
            with transaction.atomic():
                _limit_waits()
                report = upsert_people(lines, on_written=self._on_written)
                if overlapped and report.errors:
                    raise _Again
                if before is not None and before.exception() is not None:
                    raise _Again
            return report
        finally:
            connections.close_all()  # those of this thread

    def _write_now(self, batch: _Batch) -> None:
        try:
            report = upsert_people(batch.lines, on_written=self._on_written)
        except IntegrityError:
            # Another process wrote one of these people. Write them one by one, to find that person.
            report = UpsertReport()
            for line in batch.lines:
                self._write_alone(line, report)
        self._on_batch(report, batch.seen)

    def _write_alone(self, line: Line, report: UpsertReport) -> None:
        try:
            with transaction.atomic():
                done = upsert_people([line], on_written=self._on_written)
        except IntegrityError:
            reason = "belongs to a person whom another process wrote at the same time"
            report.errors.append((line.number, reason))
            return
        report.created += done.created
        report.updated += done.updated
        report.unchanged += done.unchanged
        report.errors += done.errors
