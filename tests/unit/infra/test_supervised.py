"""Loops outlive whatever a round does, and say so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from notifications.infra import clock
from notifications.infra.process import supervised
from notifications.infra.process.supervised import Loop, LoopSupervisor
from tests.functional.installation import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


class Work:
    """A call that raises the given errors in turn, and counts its rounds."""

    def __init__(self, *raised: BaseException) -> None:
        self.raised = list(raised)
        self.rounds = 0

    def __call__(self) -> None:
        self.rounds += 1
        if self.raised:
            raise self.raised.pop(0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: Any) -> None:
    monkeypatch.setattr(supervised, "_WATCH_S", 0.01)


@contextmanager
def supervising(*loops: Loop) -> Iterator[LoopSupervisor]:
    with LoopSupervisor(loops) as found:
        yield found
    assert not any(loop.is_alive() for loop in loops)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        OverflowError("9999-12-31"),
        RecursionError("deep"),
        UnicodeEncodeError("utf-8", "\ud83c", 0, 1, "surrogates not allowed"),
        AttributeError("gone"),
        AssertionError("no"),
        MemoryError(),
        TimeoutError(),
        ExceptionGroup("both", [ValueError("a"), KeyError("b")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_loop_survives_any_exception_of_a_round(error: Exception) -> None:
    work = Work(error, error)
    loop = Loop("work", work, every_s=0.001, period_s=60)
    with capture_logs() as logs, supervising(loop):
        wait_until(lambda: loop.finished_at is not None)

    assert work.rounds >= 3
    failed = [line for line in logs if line["event"] == "loop.failed"]
    assert [line["failures"] for line in failed] == [1, 2]
    assert all(len(line["trace_id"]) == 16 for line in failed)
    assert (loop.failures, loop.error) == (0, "")


def test_what_ends_a_thread_ends_no_loop() -> None:
    for error in (SystemExit(1), KeyboardInterrupt(), GeneratorExit()):
        work = Work(error)
        loop = Loop("work", work, every_s=0.001, period_s=60)
        with capture_logs() as logs, supervising(loop):
            wait_until(lambda loop=loop: loop.finished_at is not None)
        assert "loop.restarted" in [line["event"] for line in logs]


def test_a_failing_loop_waits_longer_up_to_a_bound() -> None:
    pauses = {}
    for every_s in (0.5, 30):
        loop = Loop("work", Work(), every_s=every_s, period_s=60)
        pauses[every_s] = []
        for loop.failures in (0, 1, 2, 3, 4, 5, 10_000):
            pauses[every_s].append(loop._pause())

    assert pauses[0.5] == [0.5, 1, 2, 4, 8, 10, 10]
    assert pauses[30] == [30] * 7


def test_a_round_that_never_ends_is_logged_once_with_its_stack(monkeypatch: Any) -> None:
    go_on, looked = threading.Event(), threading.Event()

    def stuck_here() -> None:
        if not go_on.is_set():
            go_on.wait()

    loop = Loop("work", stuck_here, every_s=0.001, period_s=10)
    later = clock.monotonic
    with capture_logs() as logs, supervising(loop):
        wait_until(lambda: loop.began_at is not None)
        assert not loop.hangs()
        monkeypatch.setattr(clock, "monotonic", lambda: later() + 31)
        wait_until(lambda: any(line["event"] == "loop.hangs" for line in logs))
        for _ in range(20):
            looked.wait(0.01)
        assert loop.hangs()
        go_on.set()
        wait_until(lambda: loop.finished_at is not None)

    reported = [line for line in logs if line["event"] == "loop.hangs"]
    assert len(reported) == 1
    assert "stuck_here" in reported[0]["stack"]


def test_a_loop_that_may_not_begin_waits_for_a_poke() -> None:
    allowed: set[str] = set()
    work = Work()
    loop = Loop("work", work, every_s=60, period_s=60, allowed=lambda name: name in allowed)
    with supervising(loop) as supervisor:
        wait_until(loop.is_alive)
        supervisor.poke("another")
        assert work.rounds == 0
        allowed.add("work")
        supervisor.poke("work")
        wait_until(lambda: work.rounds == 1)
