"""The messages between a process and its render processes: frames of msgpack.

A frame is four bytes of length and a value. A version travels once to each process, under the hash
of all its parts; requests name it by that hash.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from notifications.domain.errors import LimitExceeded, TemplateFault
from notifications.rendering.accessibility.checks import AccessibilityFinding
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.lengths.push import PushLength
from notifications.rendering.lengths.sms import SmsLength

LENGTH_BYTES = 4
MAX_FRAME = 32 * 2**20
PLACE = "_place"
"""Key in a FaultReply's data: where in our code an unexpected exception was raised."""


class VersionText(msgspec.Struct, frozen=True, array_like=True):
    """All that rendering needs of a version."""

    path: str
    content: dict[str, dict[str, str]]
    required_variables: list[str]
    supported_channels: list[str]
    default_locale: str
    #: The service's locale.
    locale: str
    #: The service's IANA time zone.
    timezone: str
    #: The hashes of the pinned versions by path.
    parts: dict[str, bytes]


class RenderJob(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The job to render a message."""

    version: bytes
    channel: str
    locale: str
    #: A mapping, as msgpack.
    context: msgspec.Raw
    #: Whether a push is cut to the size of its payload.
    fit: bool


class ReviewJob(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The job to analyse one text of a version."""

    version: bytes
    field: str
    locale: str


class PreviewJob(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The job to render an example message and to measure its length."""

    version: bytes
    channel: str
    locale: str
    context: msgspec.Raw


class CompareJob(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The job to compute the unified diff of two texts."""

    old: str
    new: str


class BarrierJob(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The job to find what keeps people from reading a rendered mail. See find_barriers."""

    html: str
    locale: str
    is_whole: bool


Job = RenderJob | ReviewJob | PreviewJob | CompareJob | BarrierJob


class JobRequest(msgspec.Struct, frozen=True, array_like=True):
    """Jobs, and those of their versions that the process does not know yet."""

    now: datetime
    versions: dict[bytes, VersionText]
    jobs: list[Job]


class Rendered(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A rendered message."""

    title: str
    body: str
    html: str


class FaultReply(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A TemplateFault as it travels."""

    detail: str
    code: str
    data: dict[str, Any]


class Reviewed(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The analysis of a text that compiles. See CompiledText for the fields."""

    variables: list[str]
    reads: list[str]
    least_bytes: int
    notes: str
    of_user: list[str]


class Previewed(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A rendered example message, and the length of an SMS or a push."""

    title: str
    body: str
    html: str
    sms: SmsLength | None
    push: PushLength | None


class Compared(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A unified diff."""

    diff: str


class Barriers(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """What keeps people from reading a mail."""

    found: list[AccessibilityFinding]


Reply = Rendered | FaultReply | Reviewed | Previewed | Compared | Barriers

_encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(JobRequest).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
decode_context = msgspec.msgpack.Decoder(dict[str, Any]).decode


def framed(value: msgspec.Struct) -> bytes:
    """Returns a value as a frame.

    Raises:
        UnicodeEncodeError: a text holds an unpaired surrogate.
        OverflowError: a number has more than 64 bits.
    """
    body = _encode(value)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


def hash_of(text: VersionText) -> bytes:
    """Returns a version's name on the wire: a hash of its texts and of its parts."""
    return hashlib.blake2b(_encode(text), digest_size=16).digest()


def fault_of(fault: TemplateFault) -> FaultReply:
    """Returns a fault as it travels. Unpaired surrogates are replaced: they cannot be encoded."""
    detail = fault.detail.encode("utf-8", "replace").decode()
    data = {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in fault.data.items()
        if value is None or isinstance(value, str | int)
    }
    code = LIMIT if isinstance(fault, LimitExceeded) else fault.code
    return FaultReply(detail, code, data)
