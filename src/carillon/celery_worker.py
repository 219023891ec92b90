"""Celery's worker as the service runs it, for every command that starts one."""

from __future__ import annotations

from typing import Any

from celery import signals
from celery.apps import worker as celery_worker
from celery.fixups.django import DjangoWorkerFixup  # type: ignore[attr-defined]  # not in the stubs
from django.core.cache import close_caches
from django.db import DatabaseError, InterfaceError, connections

from carillon.processes import store_metrics_in_files


class CarillonWorker(celery_worker.Worker):
    """A worker that does not depend on other workers, and has counters from its start.

    Gossip, mingle and the heartbeat of events contact other workers through the broker; with them,
    a worker ends when the broker ends. The service does not use what they report.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        store_metrics_in_files()  # before the import of tasks, which creates the counters
        super().__init__(*args, **options)

    def prepare_args(self, **options: Any) -> dict[str, Any]:
        alone = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
        return {**super().prepare_args(**options), **alone}


class WorkerFixup(DjangoWorkerFixup):  # type: ignore[misc]  # not in the stubs
    """Celery's fixup for Django, without its handling of connections.

    Celery closes a pool process's connection pool after the process has begun to use it, and never
    replaces a dead connection when it is configured to reuse connections. Here no connection is
    open when a process is forked, and a task's thread returns its connection when the task ends.
    """

    def install(self) -> WorkerFixup:
        signals.worker_before_create_process.connect(close_everything)
        signals.task_postrun.connect(_return_connections)
        close_everything()
        return self


def close_everything(**_: Any) -> None:
    """Closes this thread's connections, all pools and the caches, before a fork."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
    close_caches()


def _return_connections(sender: Any = None, **_: Any) -> None:
    """Returns a task's connection to the pool; drops a lost one."""
    if not getattr(sender.request, "is_eager", False):
        for connection in connections.all(initialized_only=True):
            try:
                connection.close_if_unusable_or_obsolete()
            except (
                DatabaseError,
                InterfaceError,
            ):  # it was checked, and the database is unavailable
                connection.close()
