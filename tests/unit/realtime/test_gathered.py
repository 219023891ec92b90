"""Asks that arrive while a group is being answered go together, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from notifications.api.errors import Overloaded
from notifications.realtime.gathered import Gathered


class Doubling:
    """Doubles numbers. It fails for negative ones, and as a whole for a group with 13."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def __call__(self, asks: list[int]) -> Sequence[int | Exception]:
        self.groups.append(asks)
        await self.may_go_on.wait()
        if 13 in asks:
            raise RuntimeError("13")
        return [ValueError(ask) if ask < 0 else 2 * ask for ask in asks]


async def _begun(gathered: Gathered[int, int], asks: Sequence[int]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(gathered.answer(ask)) for ask in asks]
    await asyncio.sleep(0)
    return tasks


def test_each_ask_of_a_group_gets_its_answer_or_its_error() -> None:
    async def run() -> None:
        work = Doubling()
        tasks = await _begun(Gathered(work, at_once=2, waiting=10), [1, -1, 3])
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert (found[0], found[2]) == (2, 6)
        assert isinstance(found[1], ValueError)
        assert work.groups == [[1, -1], [3]], "at most two together"

    asyncio.run(run())


def test_an_error_of_a_group_ends_no_other_group() -> None:
    async def run() -> None:
        gathered: Gathered[int, int] = Gathered(Doubling(), at_once=2, waiting=10)
        tasks = await _begun(gathered, [13, 1, 2])
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(each, RuntimeError) for each in found] == [True, True, False]
        assert await gathered.answer(4) == 8

    asyncio.run(run())


def test_more_asks_than_may_wait_are_refused_and_a_lost_client_holds_no_other_up() -> None:
    async def run() -> None:
        work = Doubling()
        work.may_go_on.clear()
        gathered: Gathered[int, int] = Gathered(work, at_once=1, waiting=2)
        first, *waiting = await _begun(gathered, [1])
        await asyncio.sleep(0)
        waiting = await _begun(gathered, [2, 3])
        with pytest.raises(Overloaded):
            await gathered.answer(4)
        waiting[0].cancel()
        work.may_go_on.set()
        assert (await first, await waiting[1]) == (2, 6)

    asyncio.run(run())
