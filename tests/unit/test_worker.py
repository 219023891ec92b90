"""When a worker looks for work: at once for critical, else a stream's messages share a look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from notifications.engine import worker as module
from notifications.engine.worker import Worker
from notifications.infra import clock


class Looking(Worker):
    """A worker without a database."""

    async def _sweep_if_due(self) -> None:
        """There is no database here."""

    async def _until_next(self) -> float:
        return 3600.0

    def _may_lease(self) -> bool:
        return True


class StandInDispatcher:
    def check(self) -> None:
        """Records well."""


class StandInDriver:
    """Counts how often the worker looked for work, and finds none."""

    looks = 0
    tasks: frozenset[Any] = frozenset()

    async def retry_give_back(self) -> None:
        """Nothing waits to be given back."""

    async def start_next(self) -> bool:
        self.looks += 1
        return False


@pytest.fixture(autouse=True)
def seconds(monkeypatch):
    """Nothing here waits for time to pass: between looks lies an hour, and the clock stands."""
    monkeypatch.setattr(module, "_CHECK_S", 3600.0)
    at = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: at[0])
    return at


def looks_after(act: Callable[[Worker], None]) -> int:
    """How often an idle worker looked again after something happened."""

    async def watch() -> int:
        worker = Looking()
        worker._loop = asyncio.get_running_loop()
        worker.dispatcher = StandInDispatcher()
        worker.driver = driver = StandInDriver()
        working = asyncio.create_task(worker._work(once=False))
        await settled()
        assert driver.looks == 1
        act(worker)
        await settled()
        looks = driver.looks - 1
        worker.stop()
        await working
        return looks

    async def settled() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    return asyncio.run(watch())


def test_the_next_messages_of_a_stream_wait_for_the_next_look():
    assert looks_after(lambda worker: worker.wake("default")) == 0


def test_a_critical_message_is_looked_for_at_once():
    assert looks_after(lambda worker: worker.wake("critical")) == 1


def test_a_critical_message_breaks_the_wait_of_others():
    def both(worker: Worker) -> None:
        worker.wake("default")
        worker.wake("critical")

    assert looks_after(both) == 1


def test_a_message_alone_is_looked_for_at_once(seconds):
    def later(worker: Worker) -> None:
        seconds[0] = 3601
        worker.wake("default")

    assert looks_after(later) == 1
