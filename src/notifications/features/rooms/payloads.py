"""What travels between processes without a row: messages to groups, and whose presence changed.

A payload is JSON, as one wake-up of an inbox has it (`infra/process/inbox_wakeups.py`). Redis and
NOTIFY carry it in the clear. It may be lost.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from notifications.domain.errors import CarillonError
from notifications.infra.process import inbox_wakeups
from notifications.infra.process.inbox_wakeups import (
    EVERYBODY,
    MOST_FRAME_BYTES,
    decode_people,
    encode_people,
)

NOTIFICATION = "notification_message"
"""The type of a message that sockets show as a notification."""
PRESENCE = "presence_update"
"""The type of a message that sockets show as presence."""


class RoomDataTooLarge(CarillonError):
    """The data of a room notification has at most 6 KB."""

    code = "payload_too_large"


class GroupMessage(NamedTuple):
    """A message to a group of Channels, or to one channel."""

    #: Its group, or its channel: the latter has `!`, which no group has.
    target: str
    message: dict[str, Any]


class PresenceChange(NamedTuple):
    """People who came or left somewhere, or whose activity changed; None: perhaps all."""

    user_ids: list[int] | None


def send_message(target: str, message: Mapping[str, Any]) -> None:
    """Sends a message to a group in all processes.

    Raises:
        RoomDataTooLarge: its data has more than 6 KB, or the whole message some more.
        TypeError: it has values that neither JSON nor MessagePack has.
    """
    if len(msgspec.json.encode(message.get("data"))) > MOST_FRAME_BYTES:
        raise RoomDataTooLarge
    if _has_bytes(message):
        packed = base64.b64encode(msgspec.msgpack.encode(message)).decode()
        _send({"to": target, "packed": packed})
    else:
        _send({"to": target, "message": message})


def send_presence(user_ids: Iterable[int]) -> None:
    """Tells all processes whose presence changed."""
    _send({"people": encode_people(user_ids)})


def read_payload(text: str) -> GroupMessage | PresenceChange:
    """Returns what a payload says.

    Raises:
        ValueError: it is not what this release sends.
    """
    found = msgspec.json.decode(text)
    if isinstance(found, dict):
        people, target, message = found.get("people"), found.get("to"), found.get("message")
        if isinstance(packed := found.get("packed"), str):
            message = msgspec.msgpack.decode(base64.b64decode(packed))
        if isinstance(people, str):
            return PresenceChange(None if people == EVERYBODY else decode_people(people))
        if isinstance(target, str) and isinstance(message, dict):
            return GroupMessage(target, message)
    raise ValueError("neither a message nor presence")


def _send(value: Mapping[str, Any]) -> None:
    try:
        inbox_wakeups.send_frame(msgspec.json.encode(value).decode())
    except ValueError as error:
        raise RoomDataTooLarge from error


def _has_bytes(value: object) -> bool:
    """Whether a message has bytes, which JSON has not."""
    if isinstance(value, Mapping):
        return any(map(_has_bytes, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_bytes, value))
    return isinstance(value, bytes)
