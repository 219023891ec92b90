"""What the frames of a client do: actions on the inbox, and what it received and showed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from directory.moments import InvalidMoment, read_moment
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.identifiers import key_of
from notifications.features.inbox import actions
from notifications.infra import clock
from notifications.models import ChangeKind

MOST_IDS = 100
_LARGEST = (1 << 63) - 1


class Malformed(Exception):
    """The frame is not a JSON object with a type: the connection is closed."""


class ClientFrame(msgspec.Struct):
    """A frame of a client's: its fields are beside `type`, or in `data`."""

    type: str
    data: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Returns a field that must be text.

        Raises:
            InvalidRequest: it is missing, or no text.
        """
        value = self.data.get(name)
        if not isinstance(value, str) or not value:
            raise _invalid(name, "must be text")
        return value

    def number(self, name: str) -> int:
        """Returns a field that must be a position.

        Raises:
            InvalidRequest: it is missing, or no position.
        """
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
            raise _invalid(name, "must be a position")
        return value

    def flag(self, name: str) -> bool:
        """Returns a field that must be true or false.

        Raises:
            InvalidRequest: it is missing, or neither.
        """
        value = self.data.get(name)
        if not isinstance(value, bool):
            raise _invalid(name, "must be true or false")
        return value

    def keys(self, name: str) -> list[int]:
        """Returns the keys of a list of public ids.

        Raises:
            InvalidRequest: it is no list of at most MOST_IDS ids.
        """
        values = self.data.get(name)
        if not isinstance(values, list) or len(values) > MOST_IDS:
            raise _invalid(name, f"must be a list of at most {MOST_IDS} ids", "too_many")
        return [_key(name, value) for value in values]


def read_command(text: str | bytes) -> ClientFrame:
    """Returns a frame.

    Raises:
        Malformed: it is not a JSON object with a type.
    """
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed from error
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise Malformed
    data = found.get("data", {})
    if not isinstance(data, dict):
        raise Malformed
    return ClientFrame(found["type"], {**found, **data})


def action_of(command: ClientFrame, user_id: int) -> Callable[[], object] | None:
    """Returns what a frame does to the inbox of its person, for a thread; None for other frames.

    Raises:
        InvalidRequest: a field is missing or wrong.
    """
    if command.type == "mark_all_read":
        return partial(actions.read_all, user_id)
    kind = _KINDS.get(command.type)
    if kind is None:
        return None
    keys = [_key("notification_id", command.data.get("notification_id"))]
    until = _until(command) if kind == ChangeKind.SNOOZED else None
    return partial(actions.act, user_id, keys, kind, until=until)


_KINDS = {
    "mark_read": ChangeKind.READ,
    "mark_unread": ChangeKind.UNREAD,
    "archive": ChangeKind.ARCHIVED,
    "unarchive": ChangeKind.UNARCHIVED,
    "snooze": ChangeKind.SNOOZED,
    "unsnooze": ChangeKind.RETURNED,
}


def _until(command: ClientFrame) -> datetime:
    try:
        until = read_moment(command.text("until"))
    except InvalidMoment as error:
        raise _invalid("until", str(error), error.code) from error
    if until <= clock.now():
        raise _invalid("until", "must be in the future", "in_the_past")
    return until


def _key(name: str, value: object) -> int:
    try:
        key = key_of(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        key = None
    if key is None:
        raise _invalid(name, "must be the id of a notification", "invalid_uuid")
    return key


def unknown_type(command: ClientFrame) -> InvalidRequest:
    """Returns the error of a frame of a type that does not exist."""
    return _invalid("type", f"there is no frame of the type {command.type[:30]}", "invalid_choice")


def _invalid(name: str, detail: str, code: str = "invalid") -> InvalidRequest:
    return InvalidRequest([FieldError(name, code, detail)])
