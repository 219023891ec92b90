"""Wakes workers after a commit. A lost wake-up costs at most one poll.

Requests never wait for a broker. They set a flag, and one thread in each process publishes, at most
once in a few milliseconds for each lane. Without Redis the message is a datagram to the local
socket of each worker. With Redis it is a Celery task on the queue with the name of the lane.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

import structlog
from celery import current_app
from django.db import transaction

from notifications.infra.conf import environment
from notifications.infra.process.publisher import Carrier, Publisher

log = structlog.get_logger("carillon.wakeups")
DELIVER_TASK = "notifications.tasks.deliver"
TASKS = "tasks"
"""Woken like a lane: the process that runs the tasks that wait in the database."""
LANES = "sock"
"""The suffix of the sockets that are woken for lanes."""
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

    def request() -> None:
        poke(wanted)
        _publisher.request(wanted)

    transaction.on_commit(request)


def poke(lanes: Iterable[str]) -> None:
    """Wakes the worker of this very process."""
    for lane in lanes:
        for listener in tuple(_listeners):
            listener(lane)


def flush(timeout_s: float = 2.0) -> None:
    """Waits until requested wake-ups are published: for commands that end right after."""
    _publisher.flush(timeout_s)


class _ToWorkers:
    """Sends lanes by Celery where Redis is configured, else by datagrams; TASKS by datagrams."""

    def send(self, lanes: AbstractSet[str], /) -> None:
        if TASKS in lanes:
            send_datagrams([TASKS], to=TASKS)
        lanes = lanes - {TASKS}
        if environment().redis_url:
            for lane in lanes:
                current_app.send_task(
                    DELIVER_TASK, kwargs={"lane": lane}, queue=lane, expires=60, retry=False
                )
        elif lanes:
            send_datagrams(lanes, to=LANES)

    def close(self) -> None:
        """Does nothing: Celery has a pool of connections."""


def make_carrier() -> Carrier:
    """Returns what carries wake-ups to the workers of this installation."""
    return _ToWorkers()


_publisher: Publisher[str] = Publisher(
    "wakeups", frozenset, lambda: make_carrier(), quiet_s=_QUIET_S
)


def socket_folder() -> Path:
    """Returns the folder of the sockets of this installation's workers."""
    return environment().data_dir.resolve() / "wake"


def send_datagrams(texts: Collection[str], *, to: str) -> None:
    """Sends texts to the local sockets of this installation. One that reads slowly misses some.

    to: the suffix of the sockets.
    """
    folder = socket_folder()
    if not folder.is_dir():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for path in folder.glob(f"*.{to}"):
            for text in texts:
                try:
                    sender.sendto(text.encode(), str(path))
                except ConnectionRefusedError:
                    path.unlink(missing_ok=True)  # its process has ended
                except OSError as error:
                    log.debug("wakeup.dropped", source=to, error=type(error).__name__)


def listening_socket(name: str, *, to: str = LANES) -> socket.socket | None:
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
