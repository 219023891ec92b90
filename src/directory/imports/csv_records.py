"""Reads records from CSV lines; a wrong record does not hide the valid ones after it.

A quote that is never closed would turn the rest of the file into one field. The reader reports such
a record at the line that opened the quote, and reads the lines after it again, one by one.
"""

from __future__ import annotations

import csv
import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple

MAX_RECORD = 1_000_000  # characters
MAX_REREAD = 10_000_000  # characters read again; beyond that, a record is one line
_DELIMITERS = (",", ";", "\t")
_ATTRIBUTE = "attributes."
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,15})?")
_FLAGS = {"true": True, "false": False}
Row = tuple[int, dict[str, Any] | str]


class ImportFault(ValueError):
    """The file as a whole cannot be read. The text says what to correct."""


class Cell(str):
    """A text of a CSV without a stated type. It is a number where the stored attribute is one."""

    __slots__ = ()

    def typed_as(self, stored: Any) -> Any:
        """Returns the value in the type of the stored one, or the text where that is impossible."""
        if isinstance(stored, bool):
            return _FLAGS.get(self.lower(), self)
        if isinstance(stored, int | float) and _NUMBER.fullmatch(self):
            return _number(self)
        return self


def not_utf8(line: str) -> str:
    """Returns why a line read with `surrogateescape` is not UTF-8; empty where it is UTF-8."""
    if line.isascii():
        return ""
    try:
        line.encode()
    except UnicodeEncodeError as error:
        code = ord(line[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            place = len(line[: error.start].encode()) + 1
            return f"is not UTF-8: its byte {place} is 0x{code - 0xDC00:02X}"
    return ""


class _RecordTooLong(Exception):
    """A record is longer than MAX_RECORD: a quote was probably not closed."""


class _NotText(Exception):
    """A line is not UTF-8."""


class _Source:
    """The lines of a file, by number. The lines since `begin` can be read again."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._waiting: deque[str] = deque()
        self.number = self._size = self._reread = 0
        self.lines_read: list[str] = []

    @property
    def first(self) -> int:
        """The number of the first line since `begin`, from 1."""
        return self.number - len(self.lines_read) + 1

    def begin(self) -> None:
        """Starts a record: forgets the lines read so far."""
        self.lines_read.clear()
        self._size = 0

    def rewind(self, *, skip: int = 1) -> None:
        """Goes back, so that all lines since `begin` but the first `skip` are read again."""
        again = self.lines_read[skip:]
        self._reread += self._size
        self.number -= len(again)
        self._waiting.extendleft(reversed(again))

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> str:
        if self.lines_read and self._size > (MAX_RECORD if self._reread < MAX_REREAD else 0):
            raise _RecordTooLong
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self.number += 1
        if self.number == 1:
            line = line.removeprefix("\ufeff")  # spreadsheets begin a file with this mark
        self.lines_read.append(line)
        self._size += len(line)
        wrong = not_utf8(line)
        if wrong:
            raise _NotText(wrong)
        return line


class _Column(NamedTuple):
    """One column of the heading."""

    #: The name of a field or of an attribute.
    name: str
    #: For an attribute: the function that converts a cell.
    read: Callable[[str], Any] | None = None


def read_csv(lines: Iterable[str], columns: Collection[str], *, nested: bool) -> Iterator[Row]:
    """Yields each record of a CSV, or what is wrong with it, with the number of its first line.

    Commas, semicolons or tabs separate cells; the heading decides which.

    Raises:
        ImportFault: a missing heading or an unknown column.
    """
    source = _Source(lines)
    delimiter = _delimiter(source, columns, nested=nested)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    heading = _heading(reader, source, columns, nested=nested)
    names = [column.name for column in heading]
    is_plain = all(column.read is None for column in heading)
    while True:
        source.begin()
        try:
            row = next(reader)
        except StopIteration:
            return
        except _NotText as error:
            within = (
                f", within the quote of line {source.first}" if len(source.lines_read) > 1 else ""
            )
            yield source.number, f"{error}{within}"
            continue
        except (csv.Error, _RecordTooLong) as error:
            yield source.first, _unread(error, source)
            source.rewind()
            continue
        if not row:
            continue
        if len(row) != len(heading):
            yield source.first, f"has {len(row)} columns, the heading has {len(heading)}"
            source.rewind()
            continue
        yield (
            source.first,
            dict(zip(names, row, strict=True)) if is_plain else _record(heading, row),
        )


def _unread(error: Exception, source: _Source) -> str:
    if len(source.lines_read) > 1 or "unexpected end" in str(error):
        return "opens a quote that is not closed"
    return f"is not CSV: {error}"


def _delimiter(source: _Source, columns: Collection[str], *, nested: bool) -> str:
    """Returns the delimiter by which the heading contains the most known columns."""
    source.begin()
    try:
        line = next(source, "")
    except _NotText as error:
        raise ImportFault(f"the first line {error}; save the file as UTF-8") from error
    source.rewind(skip=0)

    def known(delimiter: str) -> int:
        names = next(csv.reader([line], delimiter=delimiter), [])
        return sum(_is_known(name.strip(), columns, nested=nested) for name in names)

    return max(_DELIMITERS, key=known)


def _is_known(name: str, columns: Collection[str], *, nested: bool) -> bool:
    return name in columns or (nested and name.startswith(_ATTRIBUTE) and name != _ATTRIBUTE)


def _heading(
    reader: Iterator[list[str]], source: _Source, columns: Collection[str], *, nested: bool
) -> list[_Column]:
    source.begin()
    try:
        names = [name.strip() for name in next(reader, [])]
    except (csv.Error, _RecordTooLong, _NotText) as error:
        raise ImportFault(f"the heading {_unread(error, source)}") from error
    if not names:
        raise ImportFault("the file is empty: its first line must name the columns")
    for name in names:
        if not _is_known(name, columns, nested=nested):
            known = ", ".join(sorted(columns)) + (", attributes.NAME" if nested else "")
            raise ImportFault(f"unknown column {name!r}; known: {known}")
    heading = [_column(name) if nested else _Column(name) for name in names]
    seen: set[tuple[str, bool]] = set()
    for name, column in zip(names, heading, strict=True):
        key = (column.name, column.read is None)
        if key in seen:
            raise ImportFault(f"the column {name!r} is there twice")
        seen.add(key)
    return heading


def _column(name: str) -> _Column:
    if not name.startswith(_ATTRIBUTE):
        return _Column(name)
    attribute = name.removeprefix(_ATTRIBUTE)
    stem, _, kind = attribute.rpartition(":")
    if stem and kind in _TYPES:
        return _Column(stem, _TYPES[kind])
    return _Column(attribute, Cell)


def _number(text: str) -> int | float:
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError("must be a number, e.g. 7 or 7.5")
    return float(text) if "." in text else int(text)


def _boolean(text: str) -> bool:
    found = _FLAGS.get(text.strip().lower())
    if found is None:
        raise ValueError("must be true or false")
    return found


_TYPES: dict[str, Callable[[str], Any]] = {"number": _number, "boolean": _boolean, "text": str}


def _record(heading: list[_Column], row: list[str]) -> dict[str, Any] | str:
    """Returns the fields of a row. Non-blank columns `attributes.NAME` become its attributes."""
    record: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for column, value in zip(heading, row, strict=True):
        if column.read is None:
            record[column.name] = value
        elif value != "":
            try:
                attributes[column.name] = column.read(value)
            except ValueError as error:
                return f"{_ATTRIBUTE}{column.name} {error}"
    return _merged(record, attributes) if attributes else record


def _merged(record: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any] | str:
    """Adds the attributes of `attributes.NAME` columns to those of the column `attributes`."""
    text = record.get("attributes", "")
    try:
        held = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return record  # the reader of the field reports what is wrong with it
    if not isinstance(held, dict):
        return record
    for name, value in attributes.items():
        same = value.typed_as(held.get(name)) if isinstance(value, Cell) else value
        if name in held and held[name] != same:
            return f"{_ATTRIBUTE}{name} differs from attributes"
        held.setdefault(name, value)
    record["attributes"] = held
    return record
