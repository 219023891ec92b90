"""Imports people from CSV or NDJSON lines: streamed, checked line by line, safe to repeat.

A person is identified by `uuid`, else `external_id`, else `username` (an email address replaces a
missing username). Fields that a line does not name retain their value. Valid lines are written;
each wrong line is reported with its number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from directory.import_batches import BatchWriter
from directory.imports.import_rows import COLUMNS, Line, LineFault, read_line
from directory.imports.records import FileKind, ImportFault, read_records
from directory.people import OnWritten, UpsertReport

__all__ = ["ImportFault", "ImportReport", "LineError", "import_users"]
BATCH = 1_000
MAX_REPORTED = 1_000


class LineError(NamedTuple):
    """One wrong line."""

    #: The number of the line, from 1; the heading of a CSV counts.
    line: int
    reason: str


class ImportReport(NamedTuple):
    """The result of an import: how many lines had which effect."""

    created: int
    updated: int
    unchanged: int
    #: The first 1,000 errors.
    errors: list[LineError]
    #: The number of all errors.
    error_count: int


class _Import:
    def __init__(
        self, on_progress: Callable[[int], None] | None, on_written: OnWritten | None
    ) -> None:
        self._on_progress = on_progress
        self.writer = BatchWriter(self._count, on_written)
        self._batch: list[Line] = []
        self._seen = self._reported = 0
        self._created = self._updated = self._unchanged = self._error_count = 0
        self._errors: list[LineError] = []

    def add(self, number: int, record: dict[str, Any] | str) -> None:
        """Adds one line; writes the batch when it is full."""
        self._seen += 1
        if isinstance(record, str):
            self._add_error(number, record)
            return
        try:
            line = read_line(number, record)
        except LineFault as fault:
            self._add_error(number, str(fault))
            return
        self._batch.append(line)
        if len(self._batch) >= BATCH:
            self._write()

    def _add_error(self, number: int, reason: str) -> None:
        self._error_count += 1
        if len(self._errors) < MAX_REPORTED:
            self._errors.append(LineError(number, reason))

    def _write(self) -> None:
        lines, self._batch = self._batch, []
        self.writer.write(lines, self._seen)

    def _count(self, done: UpsertReport, seen: int) -> None:
        self._created += done.created
        self._updated += done.updated
        self._unchanged += done.unchanged
        for number, reason in done.errors:
            self._add_error(number, reason)
        self._report_progress(seen)

    def _report_progress(self, seen: int) -> None:
        if self._on_progress and seen != self._reported:
            self._on_progress(seen)
            self._reported = seen

    def report(self) -> ImportReport:
        """Writes the remaining lines and returns the totals."""
        if self._batch:
            self._write()
        self.writer.drain()
        self._report_progress(self._seen)
        return ImportReport(
            self._created,
            self._updated,
            self._unchanged,
            sorted(self._errors),
            self._error_count,
        )


def import_users(
    lines: Iterable[str],
    *,
    kind: FileKind,
    on_progress: Callable[[int], None] | None = None,
    on_written: OnWritten | None = None,
) -> ImportReport:
    """Writes the people of a file; the length of the file does not change the memory that it uses.

    lines is an open text file (newline="" for CSV) or any iterable of lines. on_progress is called
    after each batch, and at the end, with the number of lines read so far. on_written is called for
    each batch, in its transaction and perhaps in another thread.

    Raises:
        ImportFault: an unknown kind, a missing heading, or an unknown column.
    """
    run = _Import(on_progress, on_written)
    with run.writer:
        for number, record in read_records(lines, kind=kind, columns=COLUMNS, nested=True):
            run.add(number, record)
        return run.report()
