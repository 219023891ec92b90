"""A worker's renders are interrupted when they take too long; other code never is."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from notifications.domain.errors import LimitExceeded
from notifications.rendering.guard import interrupt
from notifications.rendering.guard.board import SEQUENCE, Board, new_file
from notifications.rendering.guard.dispatch_gate import DispatchGate
from notifications.rendering.guard.interrupt import Interrupter, RenderInterrupted


def busy(seconds: float) -> str:
    """Uses CPU time in Python code for `seconds`."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    return "done"


@pytest.fixture
def interrupter() -> Iterator[Interrupter]:
    made = Interrupter(cpu_seconds=0.1, check_s=0.01)
    made.start()
    yield made
    made.stop()


class TestInterrupts:
    def test_a_render_that_takes_too_much_cpu_time_is_interrupted(
        self, interrupter: Interrupter
    ) -> None:
        began = time.thread_time()
        with interrupter.slice(), pytest.raises(LimitExceeded) as caught:
            interrupter.run(lambda: busy(30))

        assert caught.value.is_overrun
        assert time.thread_time() - began < 5

    def test_a_render_that_waits_is_not_interrupted(self, interrupter: Interrupter) -> None:
        with interrupter.slice():
            assert interrupter.run(lambda: threading.Event().wait(0.4)) is False

    def test_many_short_renders_are_not_interrupted(self, interrupter: Interrupter) -> None:
        with interrupter.slice():
            assert {interrupter.run(lambda: busy(0.01)) for _ in range(40)} == {"done"}

    def test_the_render_after_an_interrupt_has_its_full_time(
        self, interrupter: Interrupter
    ) -> None:
        with interrupter.slice():
            for _ in range(3):
                with pytest.raises(LimitExceeded):
                    interrupter.run(lambda: busy(30))
                assert interrupter.run(lambda: busy(0.01)) == "done"

    def test_code_that_catches_all_exceptions_is_interrupted(
        self, interrupter: Interrupter
    ) -> None:
        def stubborn() -> None:
            for _ in range(1_000):
                try:
                    busy(0.05)
                except Exception:
                    continue

        with interrupter.slice(), pytest.raises(LimitExceeded):
            interrupter.run(stubborn)

    def test_an_interrupt_that_was_swallowed_is_followed_by_another(
        self, interrupter: Interrupter
    ) -> None:
        swallowed = []

        def swallowing() -> None:
            while len(swallowed) < 2:
                try:
                    busy(30)
                except RenderInterrupted:
                    swallowed.append(1)
            busy(30)

        with interrupter.slice(), pytest.raises(LimitExceeded):
            interrupter.run(swallowing)
        assert len(swallowed) == 2

    def test_an_exception_of_a_render_is_passed_on(self, interrupter: Interrupter) -> None:
        with interrupter.slice(), pytest.raises(ZeroDivisionError):
            interrupter.run(lambda: 1 // 0)

    def test_no_interrupt_is_raised_after_its_render(self) -> None:
        """Lets hundreds of renders end at nearly the moment of their interrupt."""
        hasty = Interrupter(cpu_seconds=0.001, check_s=0.0005)
        hasty.start()
        ended = interrupted = 0
        interval = sys.getswitchinterval()
        sys.setswitchinterval(0.0001)  # as a worker's
        try:
            for turn in range(600):
                with hasty.slice():
                    try:
                        hasty.run(lambda turn=turn: busy(0.0005 + (turn % 40) * 0.0001))
                        ended += 1
                    except LimitExceeded:
                        interrupted += 1
                sum(range(300))  # a late interrupt would be raised here
        finally:
            hasty.stop()
            sys.setswitchinterval(interval)

        assert ended + interrupted == 600
        assert interrupted > 10

    def test_an_interrupt_leaves_no_mark_in_the_interpreter(self, interrupter: Interrupter) -> None:
        """With such a mark a traced call hangs, and every other call is slower."""
        found: list[str] = []

        def tracing(*_: Any) -> Any:
            return tracing

        def traced() -> None:
            sys.settrace(tracing)
            with interrupter.slice(), pytest.raises(LimitExceeded):
                interrupter.run(lambda: busy(30))
            found.append("continued")

        thread = threading.Thread(target=traced, daemon=True)
        thread.start()
        thread.join(30)

        assert found == ["continued"]

    def test_slices_of_other_threads_follow_one_another(self, interrupter: Interrupter) -> None:
        found: list[str] = []

        def work() -> None:
            with interrupter.slice():
                try:
                    interrupter.run(lambda: busy(30))
                except LimitExceeded:
                    found.append("interrupted")

        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

        assert found == ["interrupted"] * 2


class TestBoard:
    def test_both_ends_see_the_same(self) -> None:
        number = new_file()
        one, other = Board(number), Board(number)

        one.cells[SEQUENCE] = 7
        one.source = "key:12"
        assert (other.cells[SEQUENCE], other.source) == (7, "key:12")
        one.source = "users"
        assert other.source == "users"
        one.close()
        other.close()


class TestDispatchGate:
    async def test_no_dispatch_begins_while_the_gate_is_closed(self) -> None:
        gate, order = DispatchGate(), []
        closed, reopen = threading.Event(), threading.Event()

        def render() -> None:
            with gate.closed():
                closed.set()
                reopen.wait(10)
                order.append("rendered")

        thread = threading.Thread(target=render)
        thread.start()
        await asyncio.to_thread(closed.wait, 10)

        async def dispatch() -> None:
            async with gate.dispatching():
                order.append("left")

        task = asyncio.ensure_future(dispatch())
        await asyncio.sleep(0)
        assert order == []
        reopen.set()
        await asyncio.wait_for(task, 10)
        thread.join()

        assert order == ["rendered", "left"]

    async def test_a_render_waits_for_running_dispatches(self) -> None:
        gate, order = DispatchGate(), []

        started = threading.Event()

        def render() -> None:
            started.set()
            with gate.closed():
                order.append("rendered")

        thread = threading.Thread(target=render)
        async with gate.dispatching():
            thread.start()
            await asyncio.to_thread(started.wait, 10)
            order.append("left")
        await asyncio.to_thread(thread.join)

        assert order == ["left", "rendered"]

    async def test_dispatches_do_not_wait_for_one_another(self) -> None:
        gate = DispatchGate()

        async with gate.dispatching(), gate.dispatching():
            await gate.wait_open()


def test_a_second_interrupt_at_the_end_of_a_render_does_not_leave_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The render swallowed the first interrupt and ends while the second one is sent."""
    made = Interrupter()
    is_second, is_left = threading.Event(), threading.Event()
    raise_in = interrupt._raise_in

    def late(thread: int, kind: type[BaseException]) -> None:
        is_second.set()
        is_left.wait(0.2)  # the render must wait for this interrupt, and does not leave before
        raise_in(thread, kind)

    def sender(how: Callable[[int, type[BaseException]], None]) -> threading.Thread:
        monkeypatch.setattr(interrupt, "_raise_in", how)
        return threading.Thread(target=made._interrupt, args=(made.sequence,))

    def swallow() -> None:
        first = sender(raise_in)
        with contextlib.suppress(RenderInterrupted):
            first.start()
            while True:
                pass
        first.join(60)  # a render has one watching thread: its interrupts follow one another
        sent.append(sender(late))
        sent[0].start()
        assert is_second.wait(60)

    sent: list[threading.Thread] = []
    strays = 0
    try:
        with made.slice(), contextlib.suppress(LimitExceeded):
            made.run(swallow)
        is_left.set()
        sent[0].join(60)
        for _ in range(1_000):  # an interrupt that is on its way is raised here
            pass
    except RenderInterrupted:
        strays += 1
    assert strays == 0
