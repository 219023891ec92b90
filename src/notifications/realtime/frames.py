"""Frames that the service sends, encoded once for all who get them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from notifications.features.inbox.reading import (
    InboxCursor,
    InboxState,
    ShownArrival,
    ShownChange,
    read_since,
)
from notifications.features.inbox.service import item_of
from notifications.features.inbox.shown import shown_change

_encode = msgspec.json.Encoder().encode
_TEXT = 0x81  # one whole text message (RFC 6455 section 5.2)
_SHORT, _MEDIUM = 126, 1 << 16


class Frame:
    """One frame: its type, and its data as JSON."""

    __slots__ = ("_text", "_wire", "data", "room", "seq", "type")

    def __init__(self, type_: str, data: Any, seq: int = 0, *, room: str = "") -> None:
        """Encodes the data.

        Args:
            seq: the position of an event; 0 for what has none.
            room: the room that it was sent to, if any.
        """
        self.type = type_
        self.room = room
        self.data: bytes = _encode(data)
        self.seq = seq
        self._text: str | None = None
        self._wire: bytes | None = None

    @property
    def text(self) -> str:
        """The frame as JSON text."""
        if self._text is None:
            self._text = self._json().decode()
        return self._text

    @property
    def wire(self) -> bytes:
        """The frame as bytes of a websocket: a server masks nothing, so all clients get the same.

        It is valid where no extension (compression) was agreed on.
        """
        if self._wire is None:
            body = self._json()
            size = len(body)
            if size < _SHORT:
                head = bytes((_TEXT, size))
            elif size < _MEDIUM:
                head = struct.pack("!BBH", _TEXT, _SHORT, size)
            else:
                head = struct.pack("!BBQ", _TEXT, _SHORT + 1, size)
            self._wire = head + body
        return self._wire

    def _json(self) -> bytes:
        end = b',"room":"%s"' % self.room.encode() if self.room else b""
        return b'{"type":"%s","data":%s%s}' % (self.type.encode(), self.data, end)


def frame_of(event: ShownArrival | ShownChange) -> Frame:
    """Returns the frame of an arrival or a change."""
    if isinstance(event, ShownArrival):
        return Frame("notification", item_of(event), event.seq)
    return Frame("change", shown_change(event), event.seq)


class FrameGroup(NamedTuple):
    """What a person has at a position, as frames."""

    state: InboxState
    #: Of the events, in order.
    frames: list[Frame]
    #: The last frame: the unread number, and the position after the group.
    end: Frame


def read_groups(places: Mapping[int, InboxCursor | None]) -> dict[int, FrameGroup]:
    """Reads what people missed since their positions (`read_since`), for a thread."""
    found: dict[int, FrameGroup] = {}
    for user_id, state in read_since(places).items():
        frames = [frame_of(event) for event in state.events]
        end = Frame("unread", {"count": state.unread, **_position(state.position)})
        found[user_id] = FrameGroup(state, frames, end)
    return found


def resync_frame(position: InboxCursor) -> Frame:
    """Returns the frame that makes a client forget what it has."""
    return Frame("resync", _position(position))


def error_frame(code: str, detail: str, **more: Any) -> Frame:
    """Returns the frame that answers a frame of the client's that was refused."""
    return Frame("error", {"code": code, "detail": detail, **more})


def events_of(frames: Iterable[Frame]) -> bytes:
    """Returns frames as a JSON array of `{type, data}`."""
    return b"[%s]" % b",".join(frame._json() for frame in frames)


def _position(position: InboxCursor) -> dict[str, Any]:
    return {"epoch": position.epoch, "seq": position.seq}


PONG = Frame("pong", {})
