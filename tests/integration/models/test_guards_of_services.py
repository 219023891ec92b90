"""The documented circuit breaker and limiter use the row of a service that the pipeline reads."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections

from notifications.delivery import AsyncRateLimiter, BreakerOpen, CircuitBreaker
from notifications.models import ProviderFlow
from tests.unit.delivery.test_guards import Sleeper, open_up, works

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _closed_connections() -> Any:
    yield
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


@sync_to_async
def row() -> ProviderFlow:
    return ProviderFlow.objects.get(service="ses")


async def test_a_breaker_opens_the_row_of_the_service_for_all(frozen: Any) -> None:
    one, other = (CircuitBreaker(3, 60, service="ses") for _ in range(2))
    await open_up(one, 3)
    assert one.state == "OPEN"
    assert await sync_to_async(ProviderFlow.objects.broken)(["ses"]) == {"ses"}
    with pytest.raises(BreakerOpen):
        await other.call(works)
    assert (other.state, (await row()).last_fault_at) == ("OPEN", frozen.now)

    frozen.forward(60)

    async def tries() -> None:
        with pytest.raises(BreakerOpen):
            await other.call(works)
        assert other.state == "HALF_OPEN"

    await one.call(tries)
    assert (one.state, (await row()).open_until) == ("CLOSED", 0)
    assert await other.call(works) == "fine"
    assert other.state == "CLOSED"


async def test_a_pause_requested_by_the_service_stops_calls(frozen: Any) -> None:
    far = int(frozen.now.timestamp() * 1e6) + 30_000_000
    await ProviderFlow.objects.acreate(service="ses", next_at=far)
    with pytest.raises(BreakerOpen, match="requested a wait") as refused:
        await CircuitBreaker(service="ses").call(works)
    assert 0 < refused.value.retry_after_s <= 30


async def test_limiters_of_a_service_share_its_slots(frozen: Any) -> None:
    sleep = Sleeper(frozen)
    limiters = [AsyncRateLimiter(10, 1, service="ses", sleep=sleep) for _ in range(2)]
    for _ in range(10):
        for limiter in limiters:
            await limiter.acquire()
            sleep.note()
    times = sleep.times
    assert all(later - sooner >= 0.1 for sooner, later in pairwise(times))


async def test_a_limiter_leaves_the_probe_to_the_breaker(frozen: Any) -> None:
    breaker = CircuitBreaker(1, 10, service="ses")
    await open_up(breaker, 1)
    await AsyncRateLimiter(10, 1, service="ses", sleep=Sleeper(frozen)).acquire()
    assert (await row()).open_until
    assert await breaker.call(works) == "fine"
    assert (await row()).open_until == 0
