"""Tells the web processes after a commit whose inbox has something new. A wake-up may be lost.

The database is the log: a hub that missed a wake-up finds the events within a second. A wake-up
names people and carries no text. Ephemeral frames (rooms, presence) travel in the payload itself.

One thread in each process publishes. Redis carries the payload where it is configured, else
`NOTIFY` of PostgreSQL on a connection of its own, after the commit: inside the transaction it would
take a lock that serialises all commits. An embedded service sends datagrams to the local sockets.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from typing import Any

import psycopg
import redis
import structlog
from django.db import connection, transaction

from notifications.infra import ports
from notifications.infra.conf import environment
from notifications.infra.process.publisher import Carrier, Publisher
from notifications.infra.process.wakeups import send_datagrams

CHANNEL = "carillon_inbox"
"""The name of the Redis channel, and of the channel of LISTEN."""
SOCKET = "inbox"
"""The suffix of the local sockets that hubs listen at."""
MOST_BYTES = 7_000
"""The longest list of people. PostgreSQL takes payloads below 8,000 bytes."""
MOST_FRAME_BYTES = 6_144
"""The longest data of an ephemeral frame."""
MOST_PAYLOAD_BYTES = 7_900
"""The longest payload of an ephemeral frame: its data, and for whom it is."""
EVERYBODY = "*"
"""The payload when more people than MOST_BYTES names have something new."""
FRAME = "f"
"""The first letter of an ephemeral frame. The sender's mark of 8 letters follows, then the frame's
number in 8 digits, then its JSON. By its number, a frame differs from one with the same text."""
HERE = "h"
"""The first letter of an ephemeral frame as the sending process itself gets it; then its JSON."""
_MARK_LENGTH = _NUMBER_LENGTH = 8
_HEAD_LENGTH = 1 + _MARK_LENGTH + _NUMBER_LENGTH
PEOPLE = "p"
"""The first letter of a payload that lists people."""
_MOST_WAITING = 10_000
"""Further frames are dropped while the carrier is slow."""
_QUIET_S = 1.0
_TIMEOUT_S = 2.0
_listeners: list[Callable[[str], None]] = []
log = structlog.get_logger("carillon.inbox")
_numbers = itertools.count()


def encode_people(user_ids: Iterable[int]) -> str:
    """Returns the payload that names people: base64 of the deltas of their sorted ids (LEB128)."""
    packed = bytearray()
    last = 0
    for user_id in sorted(set(user_ids)):
        delta, last = user_id - last, user_id
        while delta > 0x7F:
            packed.append(delta & 0x7F | 0x80)
            delta >>= 7
        packed.append(delta)
    text = PEOPLE + base64.b64encode(packed).decode()
    return text if len(text) <= MOST_BYTES else EVERYBODY


def decode_people(payload: str) -> list[int]:
    """Returns the ids of a payload that begins with PEOPLE.

    Raises:
        ValueError: it is not what `encode_people` made.
    """
    found: list[int] = []
    value = shift = last = 0
    for byte in base64.b64decode(payload[1:], validate=True):
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            continue
        last += value
        found.append(last)
        value = shift = 0
    return found


def announce(user_ids: Iterable[int]) -> None:
    """Says after the current transaction's commit that these people have something new."""
    people = frozenset(user_ids)
    if people:
        transaction.on_commit(lambda: _publisher.request(people))


def send_frame(text: str) -> None:
    """Sends an ephemeral frame to all hubs now. It may be lost.

    Raises:
        ValueError: it is longer than MOST_PAYLOAD_BYTES.
    """
    if len(text.encode()) > MOST_PAYLOAD_BYTES:
        raise ValueError(f"an ephemeral frame has at most {MOST_PAYLOAD_BYTES} bytes")
    if _publisher.waiting() < _MOST_WAITING:
        number = next(_numbers) % 16**_NUMBER_LENGTH
        _publisher.request([f"{FRAME}{_mark()}{number:0{_NUMBER_LENGTH}x}{text}"])


def frame_in(payload: str) -> str | None:
    """Returns the JSON of an ephemeral frame; None for other payloads.

    The sending process gets its frames directly, and None when they come back to it.
    """
    if payload.startswith(HERE):
        return payload[1:]
    if not payload.startswith(FRAME) or payload.startswith(FRAME + _mark()):
        return None
    return payload[_HEAD_LENGTH:]


def flush(timeout_s: float = 2.0) -> None:
    """Waits until all that was requested is published: for commands that end right after."""
    _publisher.flush(timeout_s)


def disconnect() -> None:
    """Closes the session that publishes, after what was requested. It is opened again if needed."""
    _publisher.disconnect(_TIMEOUT_S)


def add_listener(listener: Callable[[str], None]) -> None:
    """Calls `listener(payload)` for each payload of this process, from any thread."""
    _listeners.append(listener)


def remove_listener(listener: Callable[[str], None]) -> None:
    """Removes a listener of `add_listener`."""
    with contextlib.suppress(ValueError):
        _listeners.remove(listener)


def _payloads_of(items: Collection[int | str]) -> AbstractSet[str]:
    """Returns one payload for all people, then the payloads of frames."""
    people = [item for item in items if isinstance(item, int)]
    payloads = [encode_people(people)] if people else []
    return dict.fromkeys([*payloads, *(item for item in items if isinstance(item, str))]).keys()


def _tell_listeners(payloads: AbstractSet[str]) -> None:
    for payload in payloads:
        text = HERE + payload[_HEAD_LENGTH:] if payload.startswith(FRAME) else payload
        for listener in tuple(_listeners):
            try:
                listener(text)
            except Exception as error:  # it may have ended meanwhile; the others hear it
                log.warning("inbox.listener_failed", error=type(error).__name__)


@functools.cache
def _mark_of(_pid: int) -> str:
    return ports.token(_MARK_LENGTH // 2)


def _mark() -> str:
    """Returns what tells the frames of this process from those of others."""
    return _mark_of(os.getpid())


class _ByRedis:
    def __init__(self) -> None:
        self._client = redis.Redis.from_url(
            environment().redis_url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )

    def send(self, payloads: AbstractSet[str], /) -> None:
        for payload in payloads:
            self._client.publish(CHANNEL, payload)

    def close(self) -> None:
        self._client.close()


class _ByNotify:
    """Publishes on a connection of its own, which is opened again after an error."""

    def __init__(self) -> None:
        self._session: psycopg.Connection[tuple[object, ...]] | None = None

    def send(self, payloads: AbstractSet[str], /) -> None:
        try:
            session = self._session or self._open()
            for payload in payloads:
                session.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])
        except psycopg.Error:
            self.close()
            raise

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _open(self) -> psycopg.Connection[tuple[object, ...]]:
        self._session = psycopg.connect(autocommit=True, **session_parameters())
        return self._session


class _ByDatagrams:
    def send(self, payloads: AbstractSet[str], /) -> None:
        send_datagrams(payloads, to=SOCKET)

    def close(self) -> None:
        """Does nothing: a datagram has no connection."""


def make_carrier() -> Carrier:
    """Returns what carries payloads to the hubs of this installation."""
    if environment().redis_url:
        return _ByRedis()
    return _ByNotify() if connection.vendor == "postgresql" else _ByDatagrams()


_publisher: Publisher[int | str] = Publisher(
    "inbox wakeups",
    _payloads_of,
    lambda: make_carrier(),
    quiet_s=_QUIET_S,
    tell=_tell_listeners,
)


_OF_SESSION = (
    "host", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey",
    "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
    "tcp_user_timeout", "options", "service", "passfile",
)  # fmt: skip


def session_parameters() -> dict[str, Any]:
    """Returns the parameters of a connection to the main database outside of Django's pool."""
    given = connection.get_connection_params()
    return {name: given[name] for name in _OF_SESSION if name in given}
