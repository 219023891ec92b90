"""The Celery app: lanes are queues, and its messages only wake.

Every pool process runs a Worker of its own that polls the database, so that a lost broker loses
nothing; the task `deliver` pokes it. See docs/adr/0007.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from celery import Celery, signals
from kombu import Queue

from notifications.domain.channels import Lane

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "carillon.settings.base")

app = Celery("carillon")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_queues=[Queue(lane) for lane in Lane],
    beat_schedule={"maintain": {"task": "notifications.tasks.maintain", "schedule": 60.0}},
    beat_scheduler="celery.beat:Scheduler",  # in memory: what is due stands in the database
    # Celery would close the pool that this process's Worker uses after each task.
    CELERY_DB_REUSE_MAX=1_000_000_000,
)
app.set_default()
app.autodiscover_tasks(["notifications"])


class _Crew:
    """The Worker of this process, in a thread beside Celery's own loop."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._worker: Any = None

    def start(self, **_: Any) -> None:
        from notifications.worker import Worker  # noqa: PLC0415 -- Django is ready only now

        if self._thread is not None:
            return
        chosen = [lane for lane in Lane if lane in app.amqp.queues.consume_from]
        self._worker = Worker(lanes=chosen or None)
        self._thread = threading.Thread(target=self._worker.run, name="carillon-worker")
        self._thread.start()

    def stop(self, **_: Any) -> None:
        if self._thread is not None:
            self._worker.stop()
            self._thread.join()
            self._thread = None

    def start_unless_forking(self, sender: Any = None, **_: Any) -> None:
        """Pools that do not fork have no process_init: their one process gets the Worker."""
        if "prefork" not in type(sender.controller.pool).__module__:
            self.start()


_crew = _Crew()
signals.worker_process_init.connect(_crew.start)
signals.worker_process_shutdown.connect(_crew.stop)
signals.worker_ready.connect(_crew.start_unless_forking)
signals.worker_shutdown.connect(_crew.stop)
