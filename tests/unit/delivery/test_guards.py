"""The documented breaker and limiter, without a shared service."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from notifications.delivery import AsyncRateLimiter, BreakerOpen, CircuitBreaker


async def works(result: Any = "fine", *, word: str = "") -> Any:
    return f"{result}{word}"


async def fails(error: BaseException | None = None) -> None:
    raise error or ConnectionError("away")


async def open_up(breaker: CircuitBreaker, times: int = 5) -> None:
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await breaker.call(fails)


async def test_a_call_gets_its_arguments_and_returns_its_result() -> None:
    assert await CircuitBreaker().call(works, "a", word="b") == "ab"


async def test_consecutive_failures_open_it_at_any_distance(frozen: Any) -> None:
    breaker = CircuitBreaker(5, 60, Exception)
    for count in range(1, 6):
        assert breaker.state == "CLOSED"
        await open_up(breaker, 1)
        assert (breaker.failure_count, breaker.last_failure_time) == (count, frozen.now)
        frozen.forward(100)
    breaker = CircuitBreaker(5, 60)
    await open_up(breaker)
    assert breaker.state == "OPEN"
    with pytest.raises(BreakerOpen, match="Circuit breaker is OPEN") as refused:
        await breaker.call(works)
    assert refused.value.retry_after_s == 60


@pytest.mark.usefixtures("frozen")
async def test_a_success_resets_the_failures() -> None:
    breaker = CircuitBreaker(failure_threshold=3)
    for _ in range(3):
        await open_up(breaker, 2)
        await breaker.call(works)
    assert (breaker.state, breaker.failure_count) == ("CLOSED", 0)
    await open_up(breaker, 3)
    assert breaker.state == "OPEN"


async def test_after_the_timeout_one_call_probes_and_others_are_refused(frozen: Any) -> None:
    breaker = CircuitBreaker(failure_threshold=1, timeout=10)
    await open_up(breaker, 1)
    frozen.forward(9.999)
    with pytest.raises(BreakerOpen):
        await breaker.call(works)
    frozen.forward(0.001)
    assert breaker.state == "HALF_OPEN"

    async def probes() -> None:
        with pytest.raises(BreakerOpen):
            await breaker.call(works)

    await breaker.call(probes)
    assert breaker.state == "CLOSED"
    assert await breaker.call(works) == "fine"


async def test_a_failed_probe_opens_it_again(frozen: Any) -> None:
    breaker = CircuitBreaker(failure_threshold=3, timeout=10)
    await open_up(breaker, 3)
    frozen.forward(10)
    await open_up(breaker, 1)
    assert breaker.state == "OPEN"
    with pytest.raises(BreakerOpen):
        await breaker.call(works)


@pytest.mark.parametrize("error", [KeyError("mine"), asyncio.CancelledError()], ids=repr)
async def test_an_unexpected_exception_is_raised_and_not_counted(error: Any, frozen: Any) -> None:
    breaker = CircuitBreaker(2, 10, ConnectionError)
    for _ in range(5):
        with pytest.raises(type(error)):
            await breaker.call(fails, error)
    assert (breaker.state, breaker.failure_count) == ("CLOSED", 0)
    await open_up(breaker, 2)
    frozen.forward(10)
    with pytest.raises(type(error)):
        await breaker.call(fails, error)
    assert await breaker.call(works) == "fine"  # the next call may probe at once


@pytest.mark.parametrize("given", [{"failure_threshold": 0}, {"timeout": -1}])
def test_invalid_arguments_of_a_breaker_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="at least"):
        CircuitBreaker(**given)


class Sleeper:
    """Sleeps by moving the clock, and records the times of calls."""

    def __init__(self, frozen: Any) -> None:
        self.frozen, self.began = frozen, frozen.now
        self.times: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.frozen.forward(seconds)

    def note(self) -> None:
        self.times.append((self.frozen.now - self.began).total_seconds())


@pytest.mark.parametrize(("rate", "period"), [(14, 1), (100, 60), (1, 1), (5, 0.5)])
async def test_no_window_has_more_calls_than_the_rate(
    rate: int, period: float, frozen: Any
) -> None:
    sleep = Sleeper(frozen)
    limiter = AsyncRateLimiter(rate, period, sleep=sleep)
    for _ in range(3 * rate + 1):
        await limiter.acquire()
        sleep.note()
    times = sleep.times
    assert times[0] == 0
    assert all(times[n + rate] - times[n] >= period for n in range(len(times) - rate))
    assert times[-1] <= 3 * period * 1.05  # and nearly all of the rate is used


async def test_a_batch_waits_for_its_last_call(frozen: Any) -> None:
    sleep = Sleeper(frozen)
    limiter = AsyncRateLimiter(rate=10, period=1, sleep=sleep)
    await limiter.acquire_batch(0)
    await limiter.acquire_batch(31)
    sleep.note()
    assert sleep.times[0] == pytest.approx(30 * 0.104)
    await limiter.acquire()
    sleep.note()
    assert sleep.times[1] == pytest.approx(31 * 0.104)


async def test_earlier_callers_come_first(frozen: Any) -> None:
    order: list[int] = []
    limiter = AsyncRateLimiter(2, 1, sleep=Sleeper(frozen))

    async def acquire(number: int) -> None:
        await limiter.acquire()
        order.append(number)

    await asyncio.gather(*(acquire(number) for number in range(6)))
    assert order == list(range(6))


@pytest.mark.parametrize("given", [(0, 1), (1.5, 1), (1, 0), (1, -1), (1, float("nan"))])
async def test_invalid_arguments_of_a_limiter_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        AsyncRateLimiter(*given)
    with pytest.raises(ValueError, match="at least 0"):
        await AsyncRateLimiter(1, 1).acquire_batch(-1)
