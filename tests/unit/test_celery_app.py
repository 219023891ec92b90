"""The Celery app: every way of starting a worker uses the service's own settings."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from celery import signals
from celery.beat import SchedulingError
from celery.signals import worker_process_init
from structlog.testing import capture_logs

from carillon import celery_worker, metrics_port
from carillon.celery import app
from carillon.celery_beat import QuietScheduler
from carillon.celery_worker import CarillonWorker, WorkerFixup, close_everything

TALK = ("without_gossip", "without_mingle", "without_heartbeat")


@pytest.mark.parametrize("given", [{}, dict.fromkeys(TALK, False)], ids=["nothing", "everything"])
def test_a_worker_exchanges_no_messages_with_others_however_it_is_started(
    given: dict[str, bool],
) -> None:
    assert issubclass(app.Worker, CarillonWorker)
    worker = app.Worker.__new__(app.Worker)
    options = worker.prepare_args(**given)
    assert {name: options[name] for name in TALK} == dict.fromkeys(TALK, True)


def test_celery_closes_no_connections_after_the_fork() -> None:
    """Celery closed the connections of the process's threads, and no heartbeat came for 10 s."""
    fixup = app._fixups[0].worker_fixup  # type: ignore[attr-defined]
    assert isinstance(fixup, WorkerFixup)
    before = len(worker_process_init.receivers or ())
    fixup.install()
    try:
        assert len(worker_process_init.receivers or ()) == before
    finally:
        signals.worker_before_create_process.disconnect(close_everything)
        signals.task_postrun.disconnect(celery_worker._return_connections)


def test_counters_are_stored_in_files_before_a_task_is_imported(monkeypatch: Any) -> None:
    done: list[str] = []
    monkeypatch.setattr(celery_worker, "store_metrics_in_files", lambda: done.append("metrics"))
    monkeypatch.setattr(app.loader, "init_worker", lambda: done.append("tasks"))
    monkeypatch.setattr(CarillonWorker, "on_before_init", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        app.Worker()
    assert done == ["metrics", "tasks"]


def test_an_occupied_port_of_counters_is_one_clear_line(settings: Any, monkeypatch: Any) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(98, "Address already in use")

    settings.CARILLON = dataclasses.replace(settings.CARILLON, metrics_port=1)
    monkeypatch.setattr(metrics_port, "start_http_server", refuse)
    with pytest.raises(SystemExit, match=r"port 1: Address already in use.*METRICS_PORT"):
        metrics_port.serve_metrics()


def test_each_entry_of_beat_expires_when_no_worker_takes_it() -> None:
    assert app.conf.beat_schedule
    assert all(entry["options"]["expires"] == 60 for entry in app.conf.beat_schedule.values())


def test_an_unreachable_broker_is_one_line_for_each_task(monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise SchedulingError("away")

    scheduler = QuietScheduler(app, lazy=True)
    monkeypatch.setattr(scheduler, "apply_async", fail)
    entry = scheduler.Entry(name="x", task="notifications.tasks.maintain", schedule=60, app=app)
    with capture_logs() as logs:
        scheduler.apply_entry(entry)
    (line,) = logs
    assert (line["event"], line["error"]) == ("beat.unsent", "SchedulingError")


def test_a_worker_knows_every_documented_task() -> None:
    app.loader.import_default_modules()
    assert {
        "notifications.broadcast_batch.process_broadcast_batch_async",
        "notifications.broadcast_batch.retry_failed_broadcasts_async",
        "notifications.services.broadcast.process_scheduled_broadcasts",
        "notifications.services.broadcast.send_broadcast_async",
        "notifications.tasks.send_notification_task",
    } <= set(app.tasks)
