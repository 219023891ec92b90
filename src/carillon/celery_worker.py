"""Celery's worker as the service runs it, whatever command started it."""

from __future__ import annotations

from typing import Any

from celery import signals
from celery.apps import worker as celery_worker
from celery.fixups.django import DjangoWorkerFixup  # type: ignore[attr-defined]  # not in the stubs
from django.core.cache import close_caches
from django.db import DatabaseError, InterfaceError, connections

from carillon.processes import store_metrics_in_files


class CarillonWorker(celery_worker.Worker):
    """A worker that needs no other worker, and that has counters from its first breath.

    Gossip, mingle and the heartbeat of events talk to other workers through the broker; with them
    a worker ends when the broker does. Nothing here reads what they say.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        store_metrics_in_files()  # before the tasks are imported, which make the counters
        super().__init__(*args, **options)

    def prepare_args(self, **options: Any) -> dict[str, Any]:
        alone = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
        return {**super().prepare_args(**options), **alone}


class WorkerFixup(DjangoWorkerFixup):  # type: ignore[misc]  # not in the stubs
    """Celery's care for Django, less what it does to connections.

    Celery closes a pool process's connection pool after the process has begun to use it, and keeps
    a dead connection for ever where it is told to keep any. Here nothing is open when a process is
    forked, and a task's thread gives back what it used when the task has ended.
    """

    def install(self) -> WorkerFixup:
        signals.worker_before_create_process.connect(close_everything)
        signals.task_postrun.connect(_give_back)
        close_everything()
        return self


def close_everything(**_: Any) -> None:
    """Closes this thread's connections, every pool and the caches: before a fork."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
    close_caches()


def _give_back(sender: Any = None, **_: Any) -> None:
    """Gives a task's connection back to the pool; one that was lost is dropped."""
    if not getattr(sender.request, "is_eager", False):
        for connection in connections.all(initialized_only=True):
            try:
                connection.close_if_unusable_or_obsolete()
            except (DatabaseError, InterfaceError):  # it was asked, and the database is away
                connection.close()
