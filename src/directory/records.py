"""Records out of CSV or NDJSON lines, streamed; what is no record is told by its line."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal

MAX_LINE = 1_000_000
FileKind = Literal["csv", "ndjson"]
Record = tuple[int, dict[str, Any] | str]
"""The number of a line (from 1, a CSV's heading included), and its fields or what is wrong."""


class ImportFault(ValueError):
    """The file as a whole cannot be read; the text says what to mend."""


def read_records(
    lines: Iterable[str], *, kind: FileKind, columns: Collection[str], nested: bool = False
) -> Iterator[Record]:
    """The records of a file, in constant memory.

    lines is an open text file (newline="" for CSV) or any iterable of lines. columns are those that
    a CSV's heading may name; with `nested`, `attributes.NAME` columns become one mapping.

    Raises:
        ImportFault: an unknown kind, a missing heading, an unknown column.
    """
    if kind not in ("csv", "ndjson"):
        raise ImportFault(f"{kind!r} is not a kind of file that can be imported: csv or ndjson")
    if kind == "csv":
        return _csv_records(lines, columns, nested=nested)
    return _json_records(lines)


def _csv_records(
    lines: Iterable[str], columns: Collection[str], *, nested: bool
) -> Iterator[Record]:
    reader = csv.reader(_without_mark(lines))
    heading = [name.strip() for name in next(reader, [])]
    if not heading:
        raise ImportFault("the file is empty: its first line must name the columns")
    _check_columns(heading, columns, nested=nested)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield reader.line_num, f"is not CSV: {error}"
            continue
        if row is None:
            return
        if not row:
            continue
        if len(row) != len(heading):
            text = f"has {len(row)} columns, the heading has {len(heading)}"
            yield reader.line_num, text
            continue
        record = dict(zip(heading, row, strict=True))
        yield reader.line_num, _nested(record) if nested else dict(record)


def _check_columns(heading: list[str], columns: Collection[str], *, nested: bool) -> None:
    unknown = [
        name
        for name in heading
        if name not in columns and not (nested and name.startswith("attributes."))
    ]
    if unknown:
        known = ", ".join(sorted(columns)) + (", attributes.NAME" if nested else "")
        raise ImportFault(f"unknown column {unknown[0]!r}; known: {known}")
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


def _json_records(lines: Iterable[str]) -> Iterator[Record]:
    for number, text in enumerate(_without_mark(lines), start=1):
        if not text.strip():
            continue
        if len(text) > MAX_LINE:
            yield number, f"is longer than {MAX_LINE:,} characters"
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            yield number, "is not JSON"
            continue
        yield number, record if isinstance(record, dict) else "is not a JSON object"


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    """The lines without the byte order mark that spreadsheets put before the first."""
    for number, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if number == 0 else line
