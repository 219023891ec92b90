"""What a process of Celery's pool does beside Celery's own loop: delivery and standby loops."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence

import structlog

from notifications.domain.channels import Lane
from notifications.engine.worker import Worker
from notifications.features.upkeep.service import BackgroundWork

log = structlog.get_logger("carillon.celery")


class PoolProcess:
    """The Worker of this process, and the periodic loops for the case that no task arrives."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._worker: Worker | None = None
        self._standby: BackgroundWork | None = None

    def start(self, lanes: Sequence[Lane]) -> None:
        """Starts both once, in the calling process. lanes: of the Worker; all if empty."""
        if self._thread is not None:
            return
        worker = self._worker = Worker(lanes=lanes or None)
        self._thread = threading.Thread(target=self._run, args=(worker,), name="carillon-worker")
        self._thread.start()
        self._standby = BackgroundWork(owner=worker.owner, standby=True)
        self._standby.start()

    def stop(self) -> None:
        """Drains the Worker and stops the loops."""
        if self._thread is None or self._worker is None or self._standby is None:
            return
        self._worker.stop()
        self._standby.stop()
        self._thread.join()
        self._thread = None

    @staticmethod
    def _run(worker: Worker) -> None:
        try:
            worker.run()
        except Exception:
            # A process that no longer delivers must not seem alive: the pool starts another.
            log.exception("worker.failed", owner=worker.owner)
            os.kill(os.getpid(), signal.SIGTERM)


pool_process = PoolProcess()
