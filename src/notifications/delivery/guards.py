"""The documented breaker and rate limiter, for callers that hold a provider in their own hands.

Both follow the law of domain/flow.py. Without a service their state is in the object. With one it
is the service's row, which the pipeline reads for its own calls as well.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, ParamSpec, Protocol, TypeVar

from asgiref.sync import sync_to_async

from notifications.domain import flow as law
from notifications.domain.flow import US, CallCounts, Flow, Grant, Rate
from notifications.infra import clock
from notifications.models import ProviderFlow

P = ParamSpec("P")
T = TypeVar("T")
Errors = type[BaseException] | tuple[type[BaseException], ...]
_STATES = {"closed": "CLOSED", "open": "OPEN", "half_open": "HALF_OPEN"}
_MOST_AT_ONCE = 1_000


class BreakerOpen(Exception):
    """The call was not made: its service is left alone for now. retry_after_s: for how long."""

    def __init__(self, text: str, retry_after_s: float) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class _Book(Protocol):
    """Where the state of a service is kept."""

    def state(self) -> str:
        """closed, open or half_open, as it was last seen."""

    async def claim(self, *, owner: str, rate: Rate | None, count: int) -> Grant:
        """Slots for so many calls."""

    async def tell(
        self, tally: CallCounts, *, owner: str, faults_to_open: int, open_us: int
    ) -> None:
        """Adds what became of calls."""


class _OwnBook:
    """The state in this object. Failures in a row open its breaker, however far apart they are."""

    def __init__(self) -> None:
        self._flow = Flow()

    @staticmethod
    def _now_us() -> int:
        frozen = clock.frozen()
        return int((frozen.timestamp() if frozen else clock.monotonic()) * US)

    def state(self) -> str:
        return self._flow.state(self._now_us())

    async def claim(self, *, owner: str, rate: Rate | None, count: int) -> Grant:
        self._flow, grant = law.claim(
            self._flow, now=self._now_us(), owner=owner, rate=rate, wanted=[""] * count
        )
        return grant

    async def tell(
        self, tally: CallCounts, *, owner: str, faults_to_open: int, open_us: int
    ) -> None:
        now, flow = self._now_us(), self._flow
        if not flow.open_until:
            flow = Flow(next_at=flow.next_at) if tally.successes else replace(flow, window_at=now)
        self._flow = law.apply_report(
            flow, tally, now=now, owner=owner, faults_to_open=faults_to_open, open_us=open_us
        )


class _SharedBook:
    """The state in the row of a service. The row's own law decides when its breaker opens."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._state = "closed"

    def state(self) -> str:
        return self._state

    async def claim(self, *, owner: str, rate: Rate | None, count: int) -> Grant:
        grant: Grant = await sync_to_async(ProviderFlow.objects.claim)(
            self._service, owner=owner, rate=rate, wanted=[""] * count
        )
        if grant.reason == "breaker_open":
            self._state = "open"
        else:
            probed = grant.is_probe or grant.reason == "breaker_probing"
            self._state = "half_open" if probed else "closed"
        return grant

    async def tell(
        self, tally: CallCounts, *, owner: str, faults_to_open: int, open_us: int
    ) -> None:
        _, self._state = await sync_to_async(ProviderFlow.objects.report)(
            self._service, tally, owner=owner, faults_to_open=faults_to_open, open_us=open_us
        )


def _book_of(service: str) -> _Book:
    return _SharedBook(service) if service else _OwnBook()


class CircuitBreaker:
    """Makes calls to a service, and leaves it alone for a while after several failures.

    After `timeout` seconds one call may try whether the service is back, while others are refused.
    failure_count: failures in a row that this object saw. last_failure_time: the last one's.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        timeout: float = 60,
        expected_exception: Errors = Exception,
        *,
        service: str = "",
    ) -> None:
        """expected_exception: what counts as a failure. service: a service of the pipeline, such as
        `ses`, whose breaker this is then.

        Raises:
            ValueError: failure_threshold is less than 1, or timeout less than 0.
        """
        if failure_threshold < 1 or timeout < 0:
            raise ValueError("failure_threshold is at least 1, and timeout at least 0")
        self.failure_threshold = failure_threshold
        self.timeout = timeout
        self.expected_exception = expected_exception
        self.failure_count = 0
        self.last_failure_time: datetime | None = None
        self._book = _book_of(service)
        self._name = f"breaker {secrets.token_hex(6)}"
        self._calls = itertools.count(1)

    @property
    def state(self) -> str:
        """CLOSED, OPEN, or HALF_OPEN while one call may try."""
        return _STATES[self._book.state()]

    async def call(self, func: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Awaits `func` and returns its answer.

        Raises:
            BreakerOpen: the call was not made.
            Exception: whatever `func` raised.
        """
        owner = f"{self._name}/{next(self._calls)}"
        grant = await self._book.claim(owner=owner, rate=None, count=1)
        if not grant.count:
            paused = not grant.reason.startswith("breaker")
            text = "The service asked to wait" if paused else "Circuit breaker is OPEN"
            raise BreakerOpen(text, grant.ask_again / US)
        try:
            answer = await func(*args, **kwargs)
        except self.expected_exception:
            self.failure_count += 1
            self.last_failure_time = clock.now()
            await self._tell(CallCounts(faults=1), owner)
            raise
        except BaseException:
            await self._tell(CallCounts(void=True), owner)  # it says nothing about the service
            raise
        self.failure_count = 0
        await self._tell(CallCounts(successes=1), owner)
        return answer

    async def _tell(self, tally: CallCounts, owner: str) -> None:
        await self._book.tell(
            tally,
            owner=owner,
            faults_to_open=self.failure_threshold,
            open_us=int(self.timeout * US),
        )


class AsyncRateLimiter:
    """Lets at most `rate` calls through in any `period` seconds, evenly spread."""

    def __init__(
        self,
        rate: int,
        period: float = 1.0,
        *,
        service: str = "",
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        """service: a service of the pipeline, such as `ses`, whose slots are taken then. sleep is
        awaited until a call may go.

        Raises:
            ValueError: rate is no whole number of at least 1, or period is not above 0.
        """
        if rate < 1 or rate != int(rate) or not period > 0:
            raise ValueError("rate is a whole number of at least 1, and period is above 0 seconds")
        self.rate = int(rate)
        self.period = period
        self._rate = Rate(self.rate, period)
        self._book = _book_of(service)
        self._sleep = sleep
        self._name = f"limiter {secrets.token_hex(6)}"
        self._turn = asyncio.Lock()

    async def acquire(self) -> None:
        """Waits until one call may go."""
        await self.acquire_batch(1)

    async def acquire_batch(self, count: int) -> None:
        """Waits until `count` calls may go. Those who asked first go first.

        Raises:
            ValueError: count is less than 0.
        """
        if count < 0:
            raise ValueError("count is at least 0")
        async with self._turn:
            while count:
                grant = await self._book.claim(
                    owner=self._name, rate=self._rate, count=min(count, _MOST_AT_ONCE)
                )
                if grant.is_probe:  # a breaker's business: this object makes no calls
                    await self._book.tell(
                        CallCounts(void=True), owner=self._name, faults_to_open=1, open_us=0
                    )
                count -= grant.count
                waits = [wait for wait in grant.waits if wait is not None]
                pause = max([*waits, *([grant.ask_again] if count else [])], default=0)
                if pause:
                    await self._sleep(pause / US)
