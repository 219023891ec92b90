"""Receives the wake-ups of inboxes for a hub: by Redis, by LISTEN, or from the local socket.

It has a thread of its own, which opens a lost connection again. What is published meanwhile is
lost, which costs the hub a second.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable

import psycopg
import redis
import structlog
from django.db import connection

from notifications.infra import ports
from notifications.infra.conf import environment
from notifications.infra.process import inbox_wakeups
from notifications.infra.process.inbox_wakeups import CHANNEL, SOCKET, session_parameters
from notifications.infra.process.wakeups import listening_socket

log = structlog.get_logger("carillon.inbox")
_WAIT_S = 1.0
_PAUSE_S = 1.0
_CONNECT_S = 2.0
_LONGEST = 8_192
OnPayload = Callable[[str], None]


class InboxListener:
    """Calls `on_payload` with each wake-up, from any thread, until it is stopped."""

    def __init__(self, on_payload: OnPayload) -> None:
        self._on_payload = on_payload
        self._stops = threading.Event()
        self._receive = _receiver()
        self._thread = ports.Thread(target=self._run, name="inbox listener", daemon=True)

    def start(self) -> None:
        """Begins to listen."""
        inbox_wakeups.add_listener(self._on_payload)
        self._thread.start()

    def stop(self) -> None:
        """Stops listening; the thread ends within a second."""
        self._stops.set()
        inbox_wakeups.remove_listener(self._on_payload)

    def join(self, timeout_s: float = 5.0) -> None:
        """Waits until the thread of a stopped listener has ended."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stops.is_set():
            try:
                self._receive(self._on_payload, self._stops)
            except Exception as error:  # without the thread, each event would take a second
                log.warning("inbox.listener_lost", error=type(error).__name__)
                self._stops.wait(_PAUSE_S)


def _receiver() -> Callable[[OnPayload, threading.Event], None]:
    """Returns what receives in this installation, until the event is set or an error occurs."""
    if environment().redis_url:
        return _by_redis
    return _by_listen if connection.vendor == "postgresql" else _by_datagrams


def _by_redis(on_payload: OnPayload, stops: threading.Event) -> None:
    client = redis.Redis.from_url(
        environment().redis_url,
        socket_connect_timeout=_CONNECT_S,
        health_check_interval=10,
    )
    try:
        channel = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        channel.subscribe(CHANNEL)
        while not stops.is_set():
            message = channel.get_message(timeout=_WAIT_S)
            if message is not None:
                on_payload(message["data"].decode(errors="replace"))
    finally:
        client.close()


def _by_listen(on_payload: OnPayload, stops: threading.Event) -> None:
    with psycopg.connect(autocommit=True, **session_parameters()) as session:
        session.execute(f"LISTEN {CHANNEL}")
        while not stops.is_set():
            for note in session.notifies(timeout=_WAIT_S):
                on_payload(note.payload)
                if stops.is_set():
                    return


def _by_datagrams(on_payload: OnPayload, stops: threading.Event) -> None:
    receiver = listening_socket(f"{os.getpid()}-{secrets.token_hex(3)}", to=SOCKET)
    if receiver is None:  # its path is too long for the system: the hub asks each second
        stops.wait()
        return
    path = receiver.getsockname()
    receiver.settimeout(_WAIT_S)
    try:
        while not stops.is_set():
            with contextlib.suppress(TimeoutError):
                on_payload(receiver.recv(_LONGEST).decode(errors="replace"))
    finally:
        receiver.close()
        with contextlib.suppress(OSError):
            os.unlink(path)
