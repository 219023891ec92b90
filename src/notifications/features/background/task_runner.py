"""Runs the tasks that wait in the database, a few at a time, each on its own thread."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import connection
from django.db.models import QuerySet

from notifications.features.background.queued_tasks import CLAIM_S, LONGEST_S, run
from notifications.features.background.work_probe import WorkProbe
from notifications.infra import clock
from notifications.infra.database.clock_bridge import database_now
from notifications.infra.process import identity as processes
from notifications.infra.process import wakeups
from notifications.infra.process.supervised import Loop
from notifications.models import QueuedTask

log = structlog.get_logger("carillon.tasks")
AT_ONCE = 2
_RENEW_S = 3.0
_LISTEN_S = 5.0


def _claimed(now: datetime) -> QuerySet[QueuedTask]:
    return QueuedTask.objects.filter(state=QueuedTask.State.WAITING, claim_until__gt=now)


_CLAIMED = WorkProbe({"claimed tasks": lambda now: [_claimed(now)]})


@dataclass(slots=True)
class _Running:
    """A running task."""

    row: QueuedTask
    #: Monotonic seconds.
    began: float
    thread: threading.Thread | None = None
    #: Whether it was logged as hanging.
    reported: bool = False


class TaskRunner:
    """Claims tasks that are due and runs them. owner: this process's name."""

    def __init__(self, *, owner: str) -> None:
        #: Makes the loop call `start_due` soon; may be called from any thread.
        self.wake: Callable[[], None] = lambda: None
        self._owner = owner
        self._closed = threading.Event()
        self._running: dict[int, _Running] = {}
        self._lock = threading.Lock()
        self._receiver: socket.socket | None = None

    def start_due(self) -> int:
        """Starts due tasks while less than AT_ONCE run; returns how many it started."""
        started = 0
        while self._busy() < AT_ONCE:
            row = QueuedTask.objects.claim(owner=self._owner, claim_s=CLAIM_S)
            if row is None:
                break
            self._start(row)
            started += 1
        return started

    def _busy(self) -> int:
        """Counts the running tasks except those that hang, which would block all others."""
        with self._lock:
            return sum(not running.reported for running in self._running.values())

    def _start(self, row: QueuedTask) -> None:
        running = _Running(row, clock.monotonic())
        running.thread = threading.Thread(
            target=self._run, args=(running,), name=f"task {row.name}", daemon=True
        )
        with self._lock:
            self._running[row.pk] = running
        try:
            running.thread.start()
        except BaseException:
            self._forget(running)  # its claim ends by time
            raise

    def _forget(self, running: _Running) -> None:
        with self._lock:
            if self._running.get(running.row.pk) is running:
                del self._running[running.row.pk]

    def _run(self, running: _Running) -> None:
        row = running.row
        try:
            run(row)
        except Exception:
            log.exception(
                "task.unrecorded", task=row.name, task_id=row.task_id
            )  # it will run again
        finally:
            connection.close()
            self._forget(running)
            self.wake()

    def renew(self) -> None:
        """Renews the claims of tasks that do not hang, and releases those of ended processes."""
        now = clock.monotonic()
        with self._lock:
            tasks = list(self._running.values())
        for running in tasks:
            if now - running.began > LONGEST_S and not running.reported:
                running.reported = True
                _log_hanging(running)
        keys = [running.row.pk for running in tasks if not running.reported]
        if keys:
            QueuedTask.objects.renew(keys, owner=self._owner, claim_s=CLAIM_S)
        at = database_now()
        if not _CLAIMED.find(_CLAIMED.names, at):
            return
        claimed = _claimed(at)
        for owner in set(claimed.values_list("claimed_by", flat=True)):
            if processes.has_ended(owner):
                QueuedTask.objects.release_all(owner)

    def listen(self) -> None:
        """Waits for a wake-up for five seconds at most, and has due tasks started after one."""
        if self._receiver is None:
            name = f"{os.getpid()}-{secrets.token_hex(3)}"
            self._receiver = wakeups.listening_socket(name, to=wakeups.TASKS)
        if self._receiver is None:  # its path is too long: the loop checks every second
            self._closed.wait(_LISTEN_S)
            return
        if self._closed.is_set():
            return
        readable, _, _ = select.select([self._receiver], [], [], _LISTEN_S)
        if readable:
            with contextlib.suppress(BlockingIOError):
                while self._receiver.recv(64):
                    pass
            self.wake()

    def stop_listening(self) -> None:
        """Makes `listen` return at once, now and later. May be called from any thread."""
        self._closed.set()
        if self._receiver is not None:
            with (
                contextlib.suppress(OSError),  # its queue is full: it wakes anyway
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker,
            ):
                waker.setblocking(False)
                waker.sendto(b"", self._receiver.getsockname())

    def close(self) -> None:
        """Closes the socket of `listen`."""
        self._closed.set()
        if self._receiver is not None:
            path = self._receiver.getsockname()
            self._receiver.close()
            with contextlib.suppress(OSError):
                os.unlink(path)

    def threads(self) -> list[Loop]:
        """Returns the threads that run beside the loop of `start_due`: renewals and wake-ups."""
        return [
            Loop("task claims", self.renew, every_s=_RENEW_S, period_s=CLAIM_S),
            Loop(
                "task wake-ups",
                self.listen,
                every_s=0.01,
                period_s=CLAIM_S,
                interrupt=self.stop_listening,
            ),
        ]


def _log_hanging(running: _Running) -> None:
    frame = sys._current_frames().get(running.thread.ident or 0) if running.thread else None
    stack = "".join(traceback.format_stack(frame)) if frame else ""
    log.error("task.hangs", task=running.row.name, task_id=running.row.task_id, stack=stack)
