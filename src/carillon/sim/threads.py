"""The ports of threads and event loops, on the baton."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from carillon.sim.baton import Baton, Killed, Strand

T = TypeVar("T")


class SimThread:
    """`threading.Thread` in the process of the thread that creates it."""

    def __init__(
        self,
        baton: Baton,
        target: Callable[..., object],
        name: str = "thread",
        args: Iterable[Any] = (),
        daemon: bool = False,
    ) -> None:
        self._baton = baton
        self._process = baton.current.process
        self._call = lambda: target(*args)
        self.name = name
        self._daemon = daemon
        self.ident: int | None = None
        self._strand: Strand | None = None

    def start(self) -> None:
        """Starts it; it runs when its turn comes."""
        self._strand = self._baton.spawn(self._process, self.name, self._call, daemon=self._daemon)
        self.ident = self._strand.number

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._strand is not None and not self._strand.ended

    def join(self, timeout: float | None = None) -> None:
        """Waits for its end."""
        self._baton.wait(lambda: not self.is_alive(), timeout, f"join {self.name}")


class SimEvent:
    """`threading.Event`."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self._flag = False

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._flag

    def set(self) -> None:
        """Sets the event: all waiting threads continue."""
        self._flag = True

    def clear(self) -> None:
        """Clears the event."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set; returns whether it is."""
        return self._flag or self._baton.wait(self.is_set, timeout, "event")


class SimCondition:
    """`threading.Condition`. It has no lock, because no other thread runs between two ports."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self._notified = 0

    def __enter__(self) -> SimCondition:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def notify_all(self) -> None:
        """Wakes all waiting threads."""
        self._notified += 1

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is notified."""
        before = self._notified
        return self._baton.wait(lambda: self._notified > before, timeout, "condition")

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Waits until the predicate is true."""
        return predicate() or self._baton.wait(predicate, timeout, "condition")


class SimExecutor(Executor):
    """An executor with one thread."""

    def __init__(self, baton: Baton, name: str) -> None:
        self._baton = baton
        self._todo: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._closed = False
        self._strand = baton.spawn(baton.current.process, name, self._run)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queues a call."""
        future: Future[T] = Future()
        self._todo.append((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the thread when nothing is queued."""
        del cancel_futures
        self._closed = True
        if wait:
            self._baton.wait(lambda: self._strand.ended, None, "shutdown")

    def _run(self) -> None:
        while True:
            self._baton.wait(lambda: bool(self._todo or self._closed), None, "idle")
            if not self._todo:
                return
            future, call = self._todo.popleft()
            try:
                future.set_result(call())
            except Killed:
                raise
            except BaseException as error:
                future.set_exception(error)


class _Selector(selectors.BaseSelector):
    """Selects no files: waits on the baton for calls from other threads, or for a deadline."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self.woken = False

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def select(self, timeout: float | None = None) -> list[Any]:
        if not self.woken:
            self._baton.wait(lambda: self.woken, timeout, "loop")
        else:
            self._baton.step("loop")
        self.woken = False
        return []

    def close(self) -> None:
        pass

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class SimLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self, baton: Baton) -> None:
        self._sim_selector = _Selector(baton)
        self._baton = baton
        super().__init__(self._sim_selector)

    def time(self) -> float:
        """Seconds on the virtual clock."""
        return self._baton.now_s

    def _write_to_self(self) -> None:
        self._sim_selector.woken = True


def run_loop(baton: Baton, main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on virtual time, in the calling thread."""
    loop = SimLoop(baton)
    try:
        return loop.run_until_complete(main)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
