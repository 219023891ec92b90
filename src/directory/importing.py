"""Imports people from CSV or NDJSON lines: streamed, checked line by line, safe to repeat.

A person is known again by `uuid`, else `external_id`, else `username` (an email address stands in
for a missing username). Fields that a line does not name keep their value. What is wrong with a
line is reported by its number; the good lines go in.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from django.db import IntegrityError, transaction

from directory.import_rows import COLUMNS, Line, LineFault, read_line
from directory.people import OnWritten, Upsert, upsert_people

BATCH = 1_000
MAX_REPORTED = 1_000
MAX_LINE = 1_000_000


class ImportFault(ValueError):
    """The file as a whole cannot be read; the text says what to mend."""


class LineError(NamedTuple):
    """What is wrong with one line. `line` counts from 1, a CSV's heading included."""

    line: int
    reason: str


class ImportReport(NamedTuple):
    """What became of a file. `errors` holds the first thousand of `error_count`."""

    created: int
    updated: int
    unchanged: int
    errors: list[LineError]
    error_count: int


class _Import:
    def __init__(
        self, on_progress: Callable[[int], None] | None, on_written: OnWritten | None
    ) -> None:
        self._on_progress = on_progress
        self._on_written = on_written
        self._batch: list[Line] = []
        self._keys: set[tuple[str, object]] = set()
        self._seen = 0
        self._created = self._updated = self._unchanged = self._error_count = 0
        self._errors: list[LineError] = []

    def add(self, number: int, record: dict[str, Any]) -> None:
        """Takes one line; writes a batch when it is full."""
        self._seen += 1
        try:
            line = read_line(number, record)
        except LineFault as fault:
            self.fault(number, str(fault))
            return
        if not self._keys.isdisjoint(line.keys):
            self.write()  # the same person again: the later line must find what the earlier wrote
        self._batch.append(line)
        self._keys.update(line.keys)
        if len(self._batch) >= BATCH:
            self.write()

    def fault(self, number: int, reason: str) -> None:
        """Notes what is wrong with a line."""
        self._error_count += 1
        if len(self._errors) < MAX_REPORTED:
            self._errors.append(LineError(number, reason))

    def write(self) -> None:
        """Writes the lines that wait."""
        lines, self._batch, self._keys = self._batch, [], set()
        try:
            self._count(upsert_people(lines, on_written=self._on_written))
        except IntegrityError:
            # Somebody else wrote one of these people meanwhile: one by one, to find out whom.
            for line in lines:
                self._write_alone(line)
        if self._on_progress:
            self._on_progress(self._seen)

    def _write_alone(self, line: Line) -> None:
        try:
            with transaction.atomic():
                self._count(upsert_people([line], on_written=self._on_written))
        except IntegrityError:
            self.fault(line.number, "belongs to somebody who was written at the same moment")

    def _count(self, done: Upsert) -> None:
        self._created += done.created
        self._updated += done.updated
        self._unchanged += done.unchanged
        for number, reason in done.errors:
            self.fault(number, reason)

    def report(self) -> ImportReport:
        """Writes what is left and sums up."""
        if self._batch or self._on_progress:
            self.write()
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
    kind: Literal["csv", "ndjson"],
    on_progress: Callable[[int], None] | None = None,
    on_written: OnWritten | None = None,
) -> ImportReport:
    """Writes the people of a file; memory stays the same however long it is.

    lines is an open text file (newline="" for CSV) or any iterable of lines. on_progress is called
    after each batch with the number of lines that were read, on_written with each batch, inside its
    transaction.

    Raises:
        ImportFault: an unknown kind, a missing heading, an unknown column.
    """
    if kind not in ("csv", "ndjson"):
        raise ImportFault(f"{kind!r} is not a kind of file that can be imported: csv or ndjson")
    run = _Import(on_progress, on_written)
    records = _csv_records if kind == "csv" else _json_records
    for number, record in records(lines, run):
        run.add(number, record)
    return run.report()


def _csv_records(lines: Iterable[str], run: _Import) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(_without_mark(lines))
    heading = [name.strip() for name in next(reader, [])]
    if not heading:
        raise ImportFault("the file is empty: its first line must name the columns")
    _check_columns(heading)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            run.fault(reader.line_num, f"is not CSV: {error}")
            continue
        if row is None:
            return
        if not row:
            continue
        if len(row) != len(heading):
            run.fault(reader.line_num, f"has {len(row)} columns, the heading has {len(heading)}")
            continue
        yield reader.line_num, _nested(dict(zip(heading, row, strict=True)))


def _check_columns(heading: list[str]) -> None:
    unknown = [n for n in heading if n not in COLUMNS and not n.startswith("attributes.")]
    if unknown:
        raise ImportFault(
            f"unknown column {unknown[0]!r}; known: {', '.join(sorted(COLUMNS))}, attributes.NAME"
        )
    twice = [name for name in heading if heading.count(name) > 1]
    if twice:
        raise ImportFault(f"the column {twice[0]!r} is there twice")


def _nested(row: dict[str, str]) -> dict[str, Any]:
    """`attributes.grade` columns become one mapping; an empty one is left out."""
    record: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for name, value in row.items():
        if not name.startswith("attributes."):
            record[name] = value
        elif value != "":
            attributes[name.removeprefix("attributes.")] = value
    if attributes:
        record["attributes"] = attributes
    return record


def _json_records(lines: Iterable[str], run: _Import) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text in enumerate(_without_mark(lines), start=1):
        if not text.strip():
            continue
        if len(text) > MAX_LINE:
            run.fault(number, f"is longer than {MAX_LINE:,} characters")
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            run.fault(number, "is not JSON")
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            run.fault(number, "is not a JSON object")


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    """The lines without the byte order mark that spreadsheets put before the first."""
    for number, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if number == 0 else line
