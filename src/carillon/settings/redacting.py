"""The last step of every line of the log: no credential, no address, no forged line.

It runs after all other processors, so it sees what a library passed as `extra`, and tracebacks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Mapping
from logging.handlers import WatchedFileHandler
from typing import Any

from structlog.types import EventDict

from notifications.domain.redaction import HIDDEN, is_secret_name, redacted_line

_AS_THEY_ARE = frozenset({"level", "logger", "timestamp", "request_id", "trace_id", "trace"})
"""Fields that hold an id or a word of ours. A request id may look like a token."""
_OF_SEVERAL_LINES = frozenset({"exception", "stack", "exc_info"})
_FOR_TERMINALS = "color_message"
"""The field in which uvicorn repeats its text with colours."""
_MOST_ITEMS = 100
_DEEPEST = 5
# Line breaks of any alphabet, controls of terminals, and marks that reverse the direction of text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def redact(_: Any, __: str, event: EventDict) -> EventDict:
    """Replaces credentials and addresses in every value. At most 100 items of a value stay."""
    return {
        name: value if name in _AS_THEY_ARE else _field(name, value)
        for name, value in event.items()
        if name != _FOR_TERMINALS
    }


def _field(name: str, value: Any) -> Any:
    found = HIDDEN if value and is_secret_name(name) else _redacted(value, 0)
    if isinstance(found, str) and name not in _OF_SEVERAL_LINES:
        return _CONTROL.sub(lambda each: each[0].encode("unicode_escape").decode(), found)
    return found


def _redacted(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redacted_line(value)
    if isinstance(value, bytes | bytearray):
        return redacted_line(bytes(value).decode("utf-8", "backslashreplace"))
    if depth == _DEEPEST:
        return "[...]"
    if isinstance(value, tuple) and hasattr(value, "_asdict"):  # a named tuple
        value = value._asdict()
    if isinstance(value, Mapping):
        pairs = list(value.items())[:_MOST_ITEMS]
        return {redacted_line(str(name)): _pair(name, each, depth + 1) for name, each in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return _items(list(value)[:_MOST_ITEMS], depth + 1)
    return redacted_line(_text_of(value))


def _items(values: list[Any], depth: int) -> list[Any]:
    """Returns the items of a list. A pair, as servers have headers, may be a name and its value."""
    if len(values) == 2 and isinstance(values[0], str | bytes):
        return [_redacted(values[0], depth), _pair(values[0], values[1], depth)]
    return [_redacted(each, depth) for each in values]


def _pair(name: Any, value: Any, depth: int) -> Any:
    return HIDDEN if value and is_secret_name(str(name)) else _redacted(value, depth)


def _text_of(value: Any) -> str:
    """Returns the `repr` of an object. One that fails must not cost the line."""
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__} without a text>"


class LogHandler(logging.StreamHandler[Any]):
    """Writes to stderr. A record that cannot be formatted is named without its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Names the record: `logging` itself would print its arguments as they are."""
        _name_failure(record)


class SecurityFileHandler(WatchedFileHandler):
    """Appends to a file that only its owner can read, and opens it again after a rotation."""

    def _open(self) -> Any:
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(fd, "a", encoding="utf-8", errors="backslashreplace")

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record. A file that cannot be opened is reported like a full disk."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Names the record on stderr: the disk may be full."""
        _name_failure(record)


def _name_failure(record: logging.LogRecord) -> None:
    error = sys.exc_info()[0]
    name = error.__name__ if error else "error"
    text = f"log.unwritten logger={record.name} line={record.lineno} error={name}"
    # A full disk or a closed stream under the log must not fail the work that is logged.
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr)  # noqa: T201
