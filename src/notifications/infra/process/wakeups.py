"""Wakes workers after a commit. A lost wake-up costs at most one poll.

Requests never wait for a broker. They set a flag, and one thread in each process publishes, at most
once in a few milliseconds for each lane. Without Redis the message is a datagram to the local
socket of each worker. With Redis it is a Celery task on the queue with the name of the lane.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from celery import current_app
from django.db import transaction

from notifications.infra import clock, ports
from notifications.infra.conf import environment

log = structlog.get_logger("carillon.wakeups")
DELIVER_TASK = "notifications.tasks.deliver"
TASKS = "tasks"
"""Woken like a lane: the process that runs the tasks that wait in the database."""
_QUIET_S = 5.0  # so long after a broker failed, workers rely on polling
_listeners: list[Callable[[str], None]] = []


def add_listener(listener: Callable[[str], None]) -> None:
    """Calls `listener(lane)` for every wake-up of this process (a worker in the same process)."""
    _listeners.append(listener)


def remove_listener(listener: Callable[[str], None]) -> None:
    """Removes a listener of `add_listener`."""
    with contextlib.suppress(ValueError):
        _listeners.remove(listener)


def wake(lanes: Iterable[str]) -> None:
    """Wakes the workers of these lanes once the current transaction has committed."""
    wanted = frozenset(lanes)
    transaction.on_commit(lambda: _publisher().request(wanted))


def poke(lanes: Iterable[str]) -> None:
    """Wakes the worker of this very process."""
    for lane in lanes:
        for listener in tuple(_listeners):
            listener(lane)


def flush(timeout_s: float = 2.0) -> None:
    """Waits until requested wake-ups are published: for commands that end right after."""
    _publisher().flush(timeout_s)


class _Publisher:
    """The thread that publishes wake-ups for requests."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._requested: set[str] = set()
        self._wakeup = ports.Condition()
        self._quiet_until = 0.0
        self._busy = False
        ports.Thread(target=self._run, name="wakeups", daemon=True).start()

    def request(self, lanes: Iterable[str]) -> None:
        poke(lanes)
        with self._wakeup:
            self._requested.update(lanes)
            self._wakeup.notify_all()

    def flush(self, timeout_s: float) -> None:
        with self._wakeup:
            self._wakeup.wait_for(lambda: not self._requested and not self._busy, timeout_s)

    def _run(self) -> None:
        while True:
            with self._wakeup:
                self._busy = False
                self._wakeup.notify_all()
                while not self._requested:
                    self._wakeup.wait()
                lanes, self._requested = self._requested, set()
                self._busy = True
            if clock.monotonic() < self._quiet_until:
                continue
            try:
                _publish(lanes)
            except Exception as error:
                self._quiet_until = clock.monotonic() + _QUIET_S
                log.warning("wakeup.failed", error=type(error).__name__)


_current: _Publisher | None = None
_making = threading.Lock()


def _forget_after_fork() -> None:
    """Makes a new lock: a thread that the child does not have may hold the old one."""
    global _making
    _making = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)


def _publisher() -> _Publisher:
    global _current
    with _making:
        if _current is None or _current.pid != os.getpid():  # threads do not survive a fork
            _current = _Publisher()
        return _current


def _publish(lanes: Iterable[str]) -> None:
    lanes = set(lanes)
    if TASKS in lanes:
        lanes.remove(TASKS)
        _send_datagrams([TASKS], to=TASKS)
    if environment().redis_url:
        for lane in lanes:
            current_app.send_task(
                DELIVER_TASK, kwargs={"lane": lane}, queue=lane, expires=60, retry=False
            )
    elif lanes:
        _send_datagrams(lanes)


def socket_folder() -> Path:
    """Returns the folder of the sockets of this installation's workers."""
    return environment().data_dir.resolve() / "wake"


def _send_datagrams(lanes: Iterable[str], *, to: str = "sock") -> None:
    folder = socket_folder()
    if not folder.is_dir():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for path in folder.glob(f"*.{to}"):
            for lane in lanes:
                try:
                    sender.sendto(lane.encode(), str(path))
                except ConnectionRefusedError:
                    path.unlink(missing_ok=True)  # its worker has ended
                except OSError as error:
                    log.debug("wakeup.dropped", error=type(error).__name__)


def listening_socket(name: str, *, to: str = "sock") -> socket.socket | None:
    """Returns a datagram socket for a worker; None when its path is too long for the system.

    to: the suffix of its file, which says what it is woken for: lanes, or TASKS.
    """
    folder = socket_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{to}"
    path.unlink(missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        receiver.bind(str(path))
    except OSError as error:
        receiver.close()
        log.warning("wakeup.unheard", error=str(error))
        return None
    receiver.setblocking(False)
    return receiver
