"""Runs the tasks that wait in the database, a few at a time, each on a thread of its own."""

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

import structlog
from django.db import connection

from notifications.features.background.queued_tasks import CLAIM_S, LONGEST_S, run
from notifications.infra import clock
from notifications.infra.database.time import database_time
from notifications.infra.process import identity as processes
from notifications.infra.process import wakeups
from notifications.infra.process.supervised import Loop
from notifications.models import QueuedTask

log = structlog.get_logger("carillon.tasks")
AT_ONCE = 2
_RENEW_S = 3.0
_LISTEN_S = 1.0


@dataclass(slots=True)
class _Running:
    """A task under way. began: monotonic seconds. reported: whether it was logged as hanging."""

    row: QueuedTask
    began: float
    thread: threading.Thread | None = None
    reported: bool = False


class TaskRunner:
    """Claims tasks that are due and runs them.

    owner: this process's name. hurry: has `look` called soon; called from any thread.
    """

    def __init__(self, *, owner: str) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._owner = owner
        self._closed = threading.Event()
        self._running: dict[int, _Running] = {}
        self._lock = threading.Lock()
        self._receiver: socket.socket | None = None

    def start_due(self) -> int:
        """Starts what is due and finds a place; returns how many."""
        started = 0
        while self._busy() < AT_ONCE:
            row = QueuedTask.objects.claim(owner=self._owner, claim_s=CLAIM_S)
            if row is None:
                break
            self._start(row)
            started += 1
        return started

    def _busy(self) -> int:
        """Places taken. A task that hangs takes none, or a few of them would hold up all others."""
        with self._lock:
            return sum(not doing.reported for doing in self._running.values())

    def _start(self, row: QueuedTask) -> None:
        doing = _Running(row, clock.monotonic())
        doing.thread = threading.Thread(
            target=self._run, args=(doing,), name=f"task {row.name}", daemon=True
        )
        with self._lock:
            self._running[row.pk] = doing
        try:
            doing.thread.start()
        except BaseException:
            self._forget(doing)  # its claim ends by time
            raise

    def _forget(self, doing: _Running) -> None:
        with self._lock:
            if self._running.get(doing.row.pk) is doing:
                del self._running[doing.row.pk]

    def _run(self, doing: _Running) -> None:
        row = doing.row
        try:
            run(row)
        except Exception:
            log.exception("task.unrecorded", task=row.name, task_id=row.task_id)  # run again later
        finally:
            connection.close()
            self._forget(doing)
            self.wake()

    def renew(self) -> None:
        """Holds what runs, unless it hangs, and frees what processes held that have ended."""
        now = clock.monotonic()
        with self._lock:
            running = list(self._running.values())
        for doing in running:
            if now - doing.began > LONGEST_S and not doing.reported:
                doing.reported = True
                _log_hanging(doing)
        keys = [doing.row.pk for doing in running if not doing.reported]
        if keys:
            QueuedTask.objects.renew(keys, owner=self._owner, claim_s=CLAIM_S)
        held = QueuedTask.objects.filter(
            state=QueuedTask.State.WAITING, claim_until__gt=database_time()
        )
        for owner in set(held.values_list("claimed_by", flat=True)):
            if processes.has_ended(owner):
                QueuedTask.objects.release_all(owner)

    def listen(self) -> None:
        """Waits for a wake-up, a second at most, and has the tasks looked for then."""
        if self._receiver is None:
            name = f"{os.getpid()}-{secrets.token_hex(3)}"
            self._receiver = wakeups.listening_socket(name, to=wakeups.TASKS)
        if self._receiver is None:  # its path is too long: the look of each second does without
            self._closed.wait(_LISTEN_S)
            return
        readable, _, _ = select.select([self._receiver], [], [], _LISTEN_S)
        if readable:
            with contextlib.suppress(BlockingIOError):
                while self._receiver.recv(64):
                    pass
            self.wake()

    def close(self) -> None:
        """Ends what `listen` began."""
        self._closed.set()
        if self._receiver is not None:
            path = self._receiver.getsockname()
            self._receiver.close()
            with contextlib.suppress(OSError):
                os.unlink(path)

    def threads(self) -> list[Loop]:
        """What is to run beside the loop that looks: renewals and wake-ups."""
        return [
            Loop("task claims", self.renew, every_s=_RENEW_S, period_s=CLAIM_S),
            Loop("task wake-ups", self.listen, every_s=0.01, period_s=CLAIM_S),
        ]


def _log_hanging(doing: _Running) -> None:
    frame = sys._current_frames().get(doing.thread.ident or 0) if doing.thread else None
    stack = "".join(traceback.format_stack(frame)) if frame else ""
    log.error("task.hangs", task=doing.row.name, task_id=doing.row.task_id, stack=stack)
