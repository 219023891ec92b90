"""The baton: one thread runs at a time, in an order that the seed determines, on virtual time."""

from __future__ import annotations

import asyncio

import pytest

from carillon.sim.baton import Baton, Killed, Process, Stuck
from carillon.sim.threads import SimCondition, SimEvent, SimExecutor, SimThread, run_loop


def story(seed: int) -> tuple[list[str], int]:
    """Runs two threads of three steps each; returns their order and the checksum."""
    baton, seen = Baton(seed), list[str]()

    def work(name: str) -> None:
        for number in range(3):
            baton.step(name)
            seen.append(f"{name}{number}")

    for name in "ab":
        baton.spawn(Process(name), name, lambda name=name: work(name))
    baton.run(5)
    return seen, baton.checksum


def test_a_seed_always_gives_the_same_interleaving():
    assert all(story(seed) == story(seed) for seed in range(20))


def test_seeds_give_many_interleavings():
    assert len({tuple(story(seed)[0]) for seed in range(200)}) > 10


def test_time_jumps_to_the_next_deadline():
    baton = Baton(1)
    woken: list[float] = []
    for seconds in (3600.0, 5.0):
        baton.spawn(
            Process("p"),
            "t",
            lambda s=seconds: (baton.wait(lambda: False, s, "sleep"), woken.append(s)),
        )
    baton.run(5)

    assert woken == [5.0, 3600.0]
    assert baton.now_s == pytest.approx(3600, abs=1)


def test_a_killed_process_does_nothing_more():
    baton, process, seen = Baton(1), Process("p"), list[str]()

    def victim() -> None:
        try:
            baton.wait(lambda: False, 60, "sleep")
            seen.append("slept")
        finally:
            with pytest.raises(Killed):
                baton.step("clean up")

    baton.spawn(process, "victim", victim)
    baton.spawn(Process("q"), "killer", lambda: baton.kill(process))
    baton.run(5)

    assert seen == []


def test_a_stopped_process_continues_later():
    baton, process = Baton(1), Process("p")
    at: list[float] = []
    baton.spawn(process, "a", lambda: (baton.wait(lambda: False, 1, "s"), at.append(baton.now_s)))
    baton.spawn(Process("q"), "b", lambda: baton.stop(process, 30))
    baton.run(5)

    assert at[0] >= 30


def test_threads_that_wait_for_one_another_are_stuck():
    baton = Baton(1)
    baton.spawn(Process("p"), "a", lambda: baton.wait(lambda: False, None, "forever"))

    with pytest.raises(Stuck, match="p/a at forever"):
        baton.run(5)


def test_an_error_of_a_thread_fails_the_run():
    baton = Baton(1)
    baton.spawn(Process("p"), "a", lambda: [][0])

    with pytest.raises(IndexError):
        baton.run(5)


def test_the_ports_of_threads_work_together():
    baton, seen = Baton(3), list[object]()

    def main() -> None:
        event, condition = SimEvent(baton), SimCondition(baton)
        thread = SimThread(baton, target=event.set, name="setter")
        thread.start()
        seen.append(event.wait(10))
        thread.join()
        seen.append((thread.is_alive(), event.is_set()))
        waiting = SimThread(baton, target=lambda: seen.append(condition.wait(10)), name="waiting")
        waiting.start()
        baton.wait(lambda: False, 1, "pause")
        condition.notify_all()
        waiting.join()
        executor = SimExecutor(baton, "one")

        async def job() -> None:
            loop = asyncio.get_running_loop()
            seen.append(await loop.run_in_executor(executor, lambda: 42))
            before = loop.time()
            await asyncio.sleep(100)
            seen.append(round(loop.time() - before))

        run_loop(baton, job())
        executor.shutdown()

    baton.spawn(Process("p"), "main", main)
    baton.run(5)

    assert seen == [True, (False, True), True, 42, 100]
