"""The Celery app: each lane is a queue, and its messages only wake workers.

Every pool process runs its own Worker, which polls the database, so that nothing is lost with the
broker; the task `deliver` wakes it. See docs/adr/0007.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from celery import Celery, signals
from celery.fixups.django import DjangoFixup
from celery.schedules import crontab
from django.conf import settings
from django.utils.functional import cached_property
from django.utils.log import configure_logging
from kombu import Queue

from notifications.domain.channels import Lane

_EXPIRES_S = 60

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "carillon.settings.base")


def fixup(app: Celery) -> _Fixup:
    """Installs Celery's fixup for Django, with our own handling of connections."""
    made = _Fixup(app)
    made.install()
    sys.path.remove(os.getcwd())  # Celery put it first, where a file in it could shadow a module
    return made


class _Fixup(DjangoFixup):
    @cached_property
    def worker_fixup(self) -> Any:
        from carillon.celery_worker import WorkerFixup  # noqa: PLC0415 -- in workers alone

        return WorkerFixup(self.app)


class CarillonCelery(Celery):
    """The app: every command that starts a worker starts our own class."""

    builtin_fixups = {"carillon.celery:fixup"}

    @cached_property
    def Worker(self) -> Any:
        """The class of workers, also for `celery -A carillon worker`."""
        from carillon.celery_worker import CarillonWorker  # noqa: PLC0415 -- in workers alone

        return self.subclass_with_self(CarillonWorker)

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """Sends a task to the broker; without a broker, stores it for a worker to run."""
        from notifications.features.background.queued_tasks import enqueue  # noqa: PLC0415 -- see above
        from notifications.infra.conf import environment  # noqa: PLC0415 -- Django is ready only now

        if environment().redis_url:
            return super().send_task(name, *args, **options)
        return enqueue(self, name, *args, **options)


app = CarillonCelery("carillon")
app.config_from_object("django.conf:settings", namespace="CELERY")


def _every(schedule: float | crontab, task: str) -> dict[str, Any]:
    """Returns an entry of beat. A task that no worker received in 60 s is dropped."""
    return {"task": task, "schedule": schedule, "options": {"expires": _EXPIRES_S}}


app.conf.update(
    # Tasks that are defined beside what they call, and not in notifications.tasks.
    imports=["notifications.broadcast_batch", "notifications.services.broadcast"],
    task_queues=[Queue(lane) for lane in Lane],
    beat_schedule={
        "maintain": _every(60, "notifications.tasks.maintain"),
        "launch_broadcasts": _every(1, "notifications.tasks.launch_broadcasts"),
        "process-scheduled-broadcasts": _every(
            1, "notifications.services.broadcast.process_scheduled_broadcasts"
        ),
        "apply_receipts": _every(2, "notifications.tasks.apply_receipts"),
        "tell_webhooks": _every(2, "notifications.tasks.tell_webhooks"),
        "ask_providers": _every(30, "notifications.tasks.ask_providers"),
        "prove_templates": _every(30, "notifications.tasks.prove_templates"),
        "seal_audit": _every(1, "notifications.tasks.seal_audit"),
        "close_digests": _every(10, "notifications.tasks.close_digests"),
        "process-scheduled-notifications": _every(
            crontab(minute="*"), "notifications.tasks.process_scheduled_notifications"
        ),
        "retry-failed-notifications": _every(
            crontab(minute="*/5"), "notifications.tasks.retry_failed_notifications"
        ),
        "cleanup-cancelled-notifications": _every(
            crontab(hour="3", minute="0"), "notifications.tasks.cleanup_cancelled_notifications"
        ),
    },
    beat_scheduler="carillon.celery_beat:QuietScheduler",
)
app.autodiscover_tasks(["notifications"])


def _start_pool_process(**_: Any) -> None:
    """Starts delivery in each process of a forking pool, after the fork."""
    from carillon.pool_process import pool_process  # noqa: PLC0415 -- Django is ready only now

    pool_process.start([lane for lane in Lane if lane in app.amqp.queues.consume_from])


def _stop_pool_process(**_: Any) -> None:
    from carillon.pool_process import pool_process  # noqa: PLC0415 -- see above

    pool_process.stop()


def _start_pool_process_unless_forking(instance: Any = None, **_: Any) -> None:
    """Starts delivery in the one process of a pool that does not fork, and has no process_init.

    This happens before the broker responds, because the database knows what is due.
    """
    if "prefork" not in instance.pool_cls.__module__:
        _start_pool_process()


def _serve_metrics(**_: Any) -> None:
    from carillon.metrics_port import serve_metrics  # noqa: PLC0415 -- in workers alone

    serve_metrics()


def _log_as_everywhere(**_: Any) -> None:
    """Prevents Celery's own logging: Django's settings apply to all processes."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


def _note_failure(sender: Any = None, exception: Any = None, **_: Any) -> None:
    """Records a task that failed for good, for health. Rounds are recorded in their loop's row."""
    from notifications.features.background.queued_tasks import note_failure  # noqa: PLC0415 -- see above
    from notifications.features.background.round_tasks import RoundTask  # noqa: PLC0415 -- see above

    if not isinstance(sender, RoundTask) and not sender.request.is_eager:
        note_failure(sender.name, exception)


signals.setup_logging.connect(_log_as_everywhere)
signals.celeryd_init.connect(_serve_metrics)
signals.task_failure.connect(_note_failure)
signals.worker_process_init.connect(_start_pool_process)
signals.worker_process_shutdown.connect(_stop_pool_process)
signals.celeryd_after_setup.connect(_start_pool_process_unless_forking)
signals.worker_shutdown.connect(_stop_pool_process)
