"""`.delay()` without a broker: a row in the caller's transaction, which a worker process runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import NotRegistered, TimeoutError
from django.db import connection, transaction
from kombu.exceptions import EncodeError

from carillon.celery import app
from notifications.features.background import task_runner
from notifications.features.background.queued_tasks import QueuedResult, TaskFailed, run
from notifications.features.background.task_runner import TaskRunner
from notifications.infra.process import identity as processes
from notifications.infra.process import wakeups
from notifications.models import QueuedTask
from notifications.services.broadcast import send_broadcast_async
from notifications.tasks import retry_failed_notifications
from tests.documented_surface import CALLS, TASKS
from tests.functional.installation import wait_until
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
rows = QueuedTask.objects
calls: list[Any] = []


@pytest.fixture(autouse=True)
def task() -> Iterator[Any]:
    """A task that records its calls and raises a given exception."""

    @app.task(name="tests.noted")
    def noted(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        if "error" in kwargs:
            raise RuntimeError(kwargs["error"])
        return len(calls)

    calls.clear()
    yield noted
    app.tasks.pop("tests.noted", None)


def claimed(owner: str = "w", claim_s: float = 15) -> QueuedTask:
    row = rows.claim(owner=owner, claim_s=claim_s)
    assert row is not None
    return row


def test_a_call_is_a_row_of_the_callers_transaction(task: Any) -> None:
    with transaction.atomic():
        task.delay(1)
        transaction.set_rollback(True)
    assert not rows.exists()
    result = task.delay(1, word="two")
    assert (result.state, result.ready(), result.result) == ("PENDING", False, None)
    assert calls == []  # nothing runs in the calling process

    run(claimed())
    assert calls == [((1,), {"word": "two"})]
    assert (result.state, result.successful(), result.get()) == ("SUCCESS", True, 1)
    assert len(calls) == 1


def test_every_way_of_calling_a_task_writes_a_row(task: Any) -> None:
    task.apply_async(args=[1])
    task.s(2).delay()
    app.send_task("tests.noted", [3], {"word": 4})
    while (row := rows.claim(owner="w", claim_s=15)) is not None:
        run(row)
    assert calls == [((1,), {}), ((2,), {}), ((3,), {"word": 4})]


def test_results_are_the_same_as_through_a_broker(task: Any) -> None:
    at = datetime(2030, 5, 1, 12, tzinfo=UTC)
    task.delay(at, Decimal("1.5"), "ü\u2028\x00", {"deep": [None, True]})
    run(claimed())
    assert calls == [((at, Decimal("1.5"), "ü\u2028\x00", {"deep": [None, True]}), {})]
    with connection.cursor() as cursor:
        cursor.execute("SELECT call FROM notifications_queuedtask")
        assert b"deep" not in bytes(cursor.fetchone()[0])  # sealed


@pytest.mark.parametrize(
    ("called", "error"),
    [
        (lambda task: app.send_task("tests.unknown"), NotRegistered),
        (lambda task: task.delay(object()), EncodeError),
        (lambda task: task.delay("x" * 1_000_001), ValueError),
        (lambda task: task.apply_async(link=task.s()), ValueError),
        (lambda task: (task.s(1) | task.s(2)).delay(), ValueError),
    ],
    ids=["unknown name", "no JSON", "too long", "followers", "chain"],
)
def test_a_task_that_cannot_run_is_refused_at_the_call(called: Any, error: Any, task: Any) -> None:
    with pytest.raises(error):
        called(task)
    assert not rows.exists()


def test_eta_countdown_and_expiry_are_respected(task: Any, frozen: Any) -> None:
    soon = task.apply_async(args=["countdown"], countdown=30)
    task.apply_async(args=["eta"], eta=frozen.now + timedelta(seconds=20))
    late = task.apply_async(args=["expired"], countdown=25, expires=22)
    assert rows.claim(owner="w", claim_s=15) is None
    frozen.forward(40)
    while (row := rows.claim(owner="w", claim_s=15)) is not None:
        run(row)
    assert [args for args, _ in calls] == [("eta",), ("countdown",)]
    assert (soon.state, late.state) == ("SUCCESS", "REVOKED")


def test_a_task_that_raises_is_set_aside_after_three_attempts(task: Any, frozen: Any) -> None:
    result = task.delay(error="secret@example.com")
    run(claimed())
    assert rows.claim(owner="w", claim_s=15) is None
    frozen.forward(10)
    run(claimed())
    frozen.forward(59)
    assert rows.claim(owner="w", claim_s=15) is None
    frozen.forward(1)
    run(claimed())
    frozen.forward(3_600)
    assert rows.claim(owner="w", claim_s=15) is None

    assert len(calls) == 3
    assert (result.state, result.failed()) == ("FAILURE", True)
    assert rows.get().last_error.startswith("RuntimeError (trace ")
    with pytest.raises(TaskFailed, match="RuntimeError"):
        result.get()


def test_a_task_that_kills_its_process_is_set_aside_after_three_attempts(
    task: Any, frozen: Any
) -> None:
    result = task.delay(1)
    for _ in range(3):
        claimed()  # and the process is gone
        assert rows.claim(owner="successor", claim_s=15) is None
        frozen.forward(15)
    run(claimed())
    assert calls == []
    assert (result.state, rows.get().last_error) == ("FAILURE", "its process died each time")


def test_a_task_that_a_later_version_lacks_is_set_aside(task: Any) -> None:
    result = task.delay(1)
    app.tasks.pop("tests.noted")
    run(claimed())
    assert (result.state, calls) == ("FAILURE", [])


def test_a_process_that_lost_its_claim_records_nothing(task: Any, frozen: Any) -> None:
    task.delay(1)
    lost = claimed("slow")
    frozen.forward(15)
    successor = claimed("successor")
    run(lost)
    assert rows.get().state == "waiting"
    run(successor)
    assert rows.get().state == "done"


def test_get_runs_a_task_that_has_not_started_and_waits_for_one_that_has(task: Any) -> None:
    assert task.delay(1).get() == 1
    with pytest.raises(RuntimeError, match="oh"):
        task.delay(error="oh").get()
    assert rows.filter(state="failed").count() == 1
    result = task.delay(2)
    claimed("another")
    with pytest.raises(TimeoutError):
        result.get(timeout=0.01)
    assert result.state == "STARTED"


@pytest.mark.parametrize("documented", TASKS)
def test_every_documented_task_runs_from_its_row(documented: str) -> None:
    """`.delay()` without a broker: the call is a row, and a worker runs it with its arguments."""
    make_user(role="student")
    space: dict[str, Any] = {}
    exec(CALLS, space)
    args, kwargs = space["ARGUMENTS"].get(documented.rpartition(".")[2], ([], {}))
    app.loader.import_default_modules()
    queued = app.tasks[documented].delay(*args, **kwargs)
    assert (queued.state, rows.get(task_id=queued.id).name) == ("PENDING", documented)
    while queued.state != "SUCCESS":
        run(claimed())
    assert queued.result is None or queued.result.get("success", True) is True


def test_documented_tasks_run_from_their_rows(task: Any) -> None:
    done = retry_failed_notifications.delay()
    missing = send_broadcast_async.delay(99_999)
    run(claimed())
    run(claimed())
    assert done.result == {"rescheduled": 0, "settled": 0}
    assert (missing.state, rows.get(task_id=missing.id).attempts) == ("PENDING", 1)


def test_with_a_broker_nothing_is_written(
    task: Any, override_environment: Any, monkeypatch: Any
) -> None:
    override_environment(redis_url="redis://localhost:1")
    called: list[str] = []
    monkeypatch.setattr(Celery, "send_task", lambda self, name, *_, **__: called.append(name))
    task.delay(1)
    assert (called, rows.exists()) == (["tests.noted"], False)


def test_health_names_failed_and_waiting_tasks(task: Any, frozen: Any, client: Any) -> None:
    def reasons() -> list[str]:
        found = client.get("/health").json()["reasons"]
        return [text for text in found if text.startswith("tasks:")]

    task.delay(error="oh")
    assert reasons() == []
    frozen.forward(61)
    assert reasons() == [
        "tasks: the oldest queued task has waited for 61 s: check that a worker runs"
    ]
    for _ in range(3):
        run(claimed())
        frozen.forward(100)
    (reason,) = reasons()
    assert reason.startswith(
        "tasks: 1 queued tasks failed within a day: tests.noted (RuntimeError ("
    )
    frozen.forward(86_400)
    assert reasons() == []


@pytest.mark.django_db(transaction=True)
class TestRunner:
    def test_it_runs_two_at_once_and_no_more(self) -> None:
        go_on = threading.Event()

        @app.task(name="tests.slow")
        def slow() -> None:
            calls.append("begun")
            go_on.wait()

        runner = TaskRunner(owner="w")
        results = [slow.delay() for _ in range(3)]
        try:
            assert runner.start_due() == 2
            wait_until(lambda: len(calls) == 2)
            assert runner.start_due() == 0
            runner.renew()
        finally:
            go_on.set()
        wait_until(lambda: runner.start_due() or len(calls) == 3)
        wait_until(lambda: all(result.successful() for result in results))
        app.tasks.pop("tests.slow")

    def test_a_commit_wakes_it_at_once(self, task: Any) -> None:
        woken = threading.Event()
        runner = TaskRunner(owner="w")
        runner.wake = woken.set
        listener = threading.Thread(target=runner.listen)
        listener.start()
        wait_until(lambda: any(wakeups.socket_folder().glob("*.tasks")))
        task.delay(1)
        listener.join(10)
        runner.close()
        assert woken.is_set()
        assert not any(wakeups.socket_folder().glob("*.tasks"))

    def test_the_claims_of_an_ended_process_are_released_at_once(
        self, task: Any, monkeypatch: Any
    ) -> None:
        task.delay(1)
        claimed("ended", 3_600)
        monkeypatch.setattr(processes, "has_ended", lambda name: name == "ended")
        runner = TaskRunner(owner="successor")
        assert runner.start_due() == 0
        runner.renew()
        assert runner.start_due() == 1
        wait_until(lambda: calls)
        wait_until(lambda: rows.get().state == "done")


def test_a_result_is_known_by_its_id_alone(task: Any) -> None:
    result = task.apply_async(task_id="mine")
    assert (str(result), QueuedResult("mine").state) == ("mine", "PENDING")
    run(claimed())
    assert QueuedResult("mine").get() == 1
    QueuedResult("mine").forget()
    assert not rows.exists()


def test_tasks_that_hang_or_cannot_start_do_not_block_a_slot_forever(
    task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    able = [False, False]

    class Thread:
        ident = None

        def __init__(self, *, name: str, **_: Any) -> None:
            self._name = name

        def start(self) -> None:
            if able and not able.pop():
                raise RuntimeError("can't start new thread")
            begun.append(self._name)  # and never ends

    monkeypatch.setattr(
        task_runner,
        "threading",
        SimpleNamespace(Lock=threading.Lock, Event=threading.Event, Thread=Thread),
    )
    for number in range(7):
        task.delay(number)
    runner = TaskRunner(owner="w")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            runner.start_due()

    assert runner.start_due() == 2
    assert runner.start_due() == 0  # both places are taken
    monkeypatch.setattr(task_runner, "LONGEST_S", -1.0)
    runner.renew()

    assert runner.start_due() == 2
    assert begun == ["task tests.noted"] * 4
