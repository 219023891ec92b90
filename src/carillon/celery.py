"""The Celery app: lanes are queues, and its messages only wake.

Every pool process runs a Worker of its own that polls the database, so that a lost broker loses
nothing; the task `deliver` pokes it. See docs/adr/0007.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from typing import Any

import structlog
from celery import Celery, signals
from celery.schedules import crontab
from kombu import Queue

from notifications.domain.channels import Lane

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "carillon.settings.base")

log = structlog.get_logger("carillon.celery")
app = Celery("carillon")
sys.path.remove(os.getcwd())  # Celery put it first, where a stray file would shadow a module
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_queues=[Queue(lane) for lane in Lane],
    beat_schedule={
        "maintain": {"task": "notifications.tasks.maintain", "schedule": 60.0},
        "launch_broadcasts": {"task": "notifications.tasks.launch_broadcasts", "schedule": 1.0},
        "apply_receipts": {"task": "notifications.tasks.apply_receipts", "schedule": 2.0},
        "tell_webhooks": {"task": "notifications.tasks.tell_webhooks", "schedule": 2.0},
        "ask_providers": {"task": "notifications.tasks.ask_providers", "schedule": 30.0},
        "close_digests": {"task": "notifications.tasks.close_digests", "schedule": 10.0},
        "process-scheduled-notifications": {
            "task": "notifications.tasks.process_scheduled_notifications",
            "schedule": crontab(minute="*"),
        },
        "retry-failed-notifications": {
            "task": "notifications.tasks.retry_failed_notifications",
            "schedule": crontab(minute="*/5"),
        },
        "cleanup-cancelled-notifications": {
            "task": "notifications.tasks.cleanup_cancelled_notifications",
            "schedule": crontab(hour="3", minute="0"),
        },
    },
    beat_scheduler="celery.beat:Scheduler",  # in memory: what is due stands in the database
    # Celery would close the pool that this process's Worker uses after each task.
    CELERY_DB_REUSE_MAX=1_000_000_000,
)
app.autodiscover_tasks(["notifications"])


class Crew:
    """The Worker of this process, in a thread beside Celery's own loop.

    name: what the owner's name in leases begins with, so that who started this Celery worker can
    end its leases when it dies. Empty: the Worker makes a name up.
    """

    def __init__(self) -> None:
        self.name = ""
        self._thread: threading.Thread | None = None
        self._worker: Any = None

    def start(self, **_: Any) -> None:
        from notifications.worker import Worker  # noqa: PLC0415 -- Django is ready only now

        if self._thread is not None:
            return
        chosen = [lane for lane in Lane if lane in app.amqp.queues.consume_from]
        name = f"{self.name}:{os.getpid()}:{secrets.token_hex(4)}" if self.name else None
        self._worker = Worker(lanes=chosen or None, name=name)
        self._thread = threading.Thread(target=self._run, name="carillon-worker")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._worker.run()
        except Exception:
            # A process that no longer delivers must not look alive: the pool starts another.
            log.exception("worker.failed", owner=self._worker.owner)
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(self, **_: Any) -> None:
        if self._thread is not None:
            self._worker.stop()
            self._thread.join()
            self._thread = None

    def start_unless_forking(self, instance: Any = None, **_: Any) -> None:
        """Pools that do not fork have no process_init: their one process gets the Worker.

        Before the broker answers, if it ever does: the database says what is due.
        """
        if "prefork" not in instance.pool_cls.__module__ and getattr(instance, "delivers", True):
            self.start()


crew = Crew()
signals.worker_process_init.connect(crew.start)
signals.worker_process_shutdown.connect(crew.stop)
signals.celeryd_after_setup.connect(crew.start_unless_forking)
signals.worker_shutdown.connect(crew.stop)
