"""Streams records from CSV or NDJSON lines; reports each line that is not a record."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal

from directory.imports.csv_records import ImportFault, not_utf8, read_csv

__all__ = ["FileKind", "ImportFault", "Record", "read_records"]
MAX_LINE = 1_000_000
FileKind = Literal["csv", "ndjson"]
Record = tuple[int, dict[str, Any] | str]
"""The number of a line (from 1; a CSV's heading counts), and its fields or what is wrong."""


def read_records(
    lines: Iterable[str], *, kind: FileKind, columns: Collection[str], nested: bool = False
) -> Iterator[Record]:
    """Reads the records of a file, in constant memory.

    lines is a text file opened with `errors="surrogateescape"` (newline="" for CSV), or any
    iterable of lines. columns are the names that a CSV's heading may contain. With `nested`, the
    columns `attributes.NAME` become one mapping.

    Raises:
        ImportFault: an unknown kind, a missing heading, or an unknown column.
    """
    if kind not in ("csv", "ndjson"):
        raise ImportFault(f"{kind!r} is not a kind of file that can be imported: csv or ndjson")
    if kind == "csv":
        return read_csv(lines, columns, nested=nested)
    return _json_records(lines)


def _json_records(lines: Iterable[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix("\ufeff") if number == 1 else line
        if not text.strip():
            continue
        if len(text) > MAX_LINE:
            yield number, f"is longer than {MAX_LINE:,} characters"
            continue
        if wrong := not_utf8(text):
            yield number, wrong
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            yield number, "is not JSON"
            continue
        yield number, record if isinstance(record, dict) else "is not a JSON object"
