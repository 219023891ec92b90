"""What goes between a process and its render processes: frames of msgpack.

A frame is four bytes of length and a value. A version travels once to each process, under the hash
of all that it consists of; requests name it by the hash.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from notifications.domain.errors import LimitExceeded, TemplateFault
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.lengths.push import PushLength
from notifications.rendering.lengths.sms import SmsLength

LENGTH_BYTES = 4
MAX_FRAME = 32 * 2**20
PLACE = "_place"
"""In a Fault's data: where in our code an unforeseen exception came from."""


class VersionText(msgspec.Struct, frozen=True, array_like=True):
    """All that rendering needs of a version. parts holds the hashes of pinned versions by path."""

    path: str
    content: dict[str, dict[str, str]]
    required_variables: list[str]
    supported_channels: list[str]
    default_locale: str
    locale: str  # the service's
    timezone: str  # the service's
    parts: dict[str, bytes]


class Render(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Asks for what a message says. context is msgpack of a mapping."""

    version: bytes
    channel: str
    locale: str
    context: msgspec.Raw
    fit: bool


class Review(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Asks what there is to say about one text of a version."""

    version: bytes
    field: str
    locale: str


class Preview(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Asks for what an example message would say, and how long it is."""

    version: bytes
    channel: str
    locale: str
    context: msgspec.Raw


class Compare(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Asks for the unified diff of two texts."""

    old: str
    new: str


Job = Render | Review | Preview | Compare


class Request(msgspec.Struct, frozen=True, array_like=True):
    """Jobs, and the versions that they name and the process does not know yet."""

    now: datetime
    versions: dict[bytes, VersionText]
    jobs: list[Job]


class Shown(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """What a message says."""

    title: str
    body: str
    html: str


class Fault(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A TemplateFault."""

    detail: str
    code: str
    data: dict[str, Any]


class Reviewed(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """One text that compiles: see CompiledText for the attributes."""

    variables: list[str]
    reads: list[str]
    least_bytes: int
    notes: str
    of_user: list[str]


class Previewed(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """What an example message says, and how long an SMS or a push is."""

    title: str
    body: str
    html: str
    sms: SmsLength | None
    push: PushLength | None


class Compared(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A unified diff."""

    diff: str


Reply = Shown | Fault | Reviewed | Previewed | Compared

_encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
decode_context = msgspec.msgpack.Decoder(dict[str, Any]).decode


def framed(value: msgspec.Struct) -> bytes:
    """A value as a frame.

    Raises:
        UnicodeEncodeError: for a text with half a character.
        OverflowError: for a number of more than 64 bits.
    """
    body = _encode(value)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


def hash_of(text: VersionText) -> bytes:
    """The name of a version on the wire: of its own texts and of those that it is built with."""
    return hashlib.blake2b(_encode(text), digest_size=16).digest()


def fault_of(fault: TemplateFault) -> Fault:
    """A fault as it travels. Its text and data must not fail to: a half character is replaced."""
    detail = fault.detail.encode("utf-8", "replace").decode()
    data = {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in fault.data.items()
        if value is None or isinstance(value, str | int)
    }
    code = LIMIT if isinstance(fault, LimitExceeded) else fault.code
    return Fault(detail, code, data)
