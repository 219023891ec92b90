"""Permits: never more than the limit, whatever order things happen in, and none leaks."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.channels import Lane
from notifications.queue.batches import JOURNAL_LIMIT
from notifications.queue.permits import BULK_LIMIT, CRITICAL_RESERVE, PROVIDER_LIMIT, Permits

MAIL = (Lane.DEFAULT, "email")
PUSH = (Lane.DEFAULT, "push")
CRITICAL = (Lane.CRITICAL, "sms")


async def test_a_reservation_is_free_again_however_its_block_ends():
    permits = Permits()
    used = []

    async def fail():
        async with permits.reserve(50, MAIL):
            used.append(permits.used)
            raise RuntimeError("the database failed")

    with pytest.raises(RuntimeError):
        await fail()
    assert used == [50]
    assert permits.used == 0


async def test_a_reservation_that_is_cancelled_while_it_waits_takes_nothing():
    permits = Permits()
    permits.acquire(MAIL, PROVIDER_LIMIT)

    async def wait():
        async with permits.reserve(10, MAIL):
            pytest.fail("there is no room")

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert permits.used == PROVIDER_LIMIT


async def test_what_is_committed_stays_until_it_is_given_back():
    permits = Permits()
    async with permits.reserve(20, MAIL) as reservation:
        reservation.commit(15)
    assert permits.used == 15
    permits.release(MAIL, 15)
    assert permits.used == 0


async def test_room_that_comes_free_lets_those_go_on_who_wait():
    permits = Permits()
    permits.acquire(MAIL, PROVIDER_LIMIT)
    entered = asyncio.Event()

    async def wait():
        async with permits.reserve(10, MAIL, least=10):
            entered.set()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    assert not entered.is_set()
    permits.release(MAIL, 10)
    await task
    assert entered.is_set()


def test_a_full_channel_leaves_room_for_others_and_critical():
    permits = Permits()
    permits.acquire(MAIL, PROVIDER_LIMIT)
    assert permits.available(MAIL) == 0
    assert permits.available(PUSH) == JOURNAL_LIMIT - CRITICAL_RESERVE - PROVIDER_LIMIT
    permits.acquire(PUSH, permits.available(PUSH))
    assert permits.available(PUSH) == 0
    assert permits.available(CRITICAL) == CRITICAL_RESERVE


def test_bulk_leaves_room_for_other_lanes():
    permits = Permits()
    permits.acquire((Lane.BULK, "email"), BULK_LIMIT)
    assert permits.available((Lane.BULK, "push")) == 0
    assert permits.available(PUSH) > 0


def test_a_dispatch_counts_on_outcomes_that_wait_but_not_on_those_of_critical():
    waiting = Counter({MAIL: 70, CRITICAL: 5})
    permits = Permits(lambda: waiting)
    permits.acquire(MAIL, 75)
    permits.acquire(CRITICAL, 10)
    assert permits.available_now(MAIL) == 0
    assert permits.available(MAIL) == 70
    assert permits.available(CRITICAL) == JOURNAL_LIMIT - 85 + 75


@pytest.mark.parametrize("place", [MAIL, (Lane.HIGH, "email")])
def test_what_waits_of_critical_makes_no_room_for_others(place):
    waiting = Counter({CRITICAL: 8})
    permits = Permits(lambda: waiting)
    permits.acquire(MAIL, 30)
    permits.acquire(PUSH, 45)
    permits.acquire(CRITICAL, 10)
    assert permits.available(place) == JOURNAL_LIMIT - CRITICAL_RESERVE - 85
    assert permits.available(CRITICAL) == JOURNAL_LIMIT - 85 + 8


async def test_what_a_dispatch_relied_on_is_to_be_had_again_after_it():
    waiting = Counter({MAIL: 30})
    permits = Permits(lambda: waiting)
    permits.acquire(MAIL, 50)
    permits.acquire(PUSH, 40)
    assert permits.available(MAIL) == 30
    async with permits.reserve(20, MAIL):
        assert permits.available(MAIL) == 10
    assert permits.available(MAIL) == 30


class Model:
    """Dispatches, hand-overs and records in any order; `journalled` is what a kill would leave."""

    places = (MAIL, PUSH, CRITICAL, (Lane.BULK, "email"))

    def __init__(self) -> None:
        self.waiting: list[tuple[Lane, str]] = []
        self.in_flight: list[tuple[Lane, str]] = []
        self.blocks: list = []
        self.permits = Permits(lambda: Counter(self.waiting))

    @property
    def journalled(self) -> int:
        return len(self.in_flight) + len(self.waiting)

    async def begin(self, number: int) -> None:
        place = self.places[number % len(self.places)]
        if self.permits.available(place) >= 1 and len(self.blocks) < 3:
            block = self.permits.reserve(min(100, number + 1), place)
            self.blocks.append((block, await block.__aenter__(), place))

    async def end(self, number: int, *, commits: bool) -> None:
        if not self.blocks:
            return
        block, reservation, place = self.blocks.pop(number % len(self.blocks))
        taken, self.waiting = self.waiting, []
        usable = [p for p in taken if place[0] is Lane.CRITICAL or p[0] is not Lane.CRITICAL]
        fits = reservation.fit(reservation.count, len(usable))
        if commits:
            self.free(taken)
            reservation.commit(fits)
            self.in_flight += [place] * fits
        else:
            self.waiting = taken
        await block.__aexit__(None, None, None)

    def free(self, places: list[tuple[Lane, str]]) -> None:
        for place in places:
            self.permits.release(place, 1)

    async def step(self, what: str, number: int) -> None:
        if what == "begin":
            await self.begin(number)
        elif what in ("leave", "fail"):
            await self.end(number, commits=what == "leave")
        elif what == "land":
            self.waiting += self.in_flight[:number]
            del self.in_flight[:number]
        else:
            self.free(self.waiting)
            self.waiting = []


STEPS = st.tuples(
    st.sampled_from(["begin", "leave", "fail", "land", "record"]), st.integers(0, 120)
)


@given(st.lists(STEPS, max_size=60))
def test_committed_keys_never_pass_the_limit_in_any_order_of_events(steps):
    async def play():
        model = Model()
        for what, number in steps:
            await model.step(what, number)
            assert model.journalled <= JOURNAL_LIMIT
            assert model.permits.used >= model.journalled
        while model.blocks:
            await model.end(0, commits=False)
        assert model.permits.used == model.journalled

    asyncio.run(play())
