"""The documented circuit breaker and rate limiter, for callers that use a provider directly.

Both follow the rules of domain/flow.py. Without a service, their state is in the object. With a
service, it is the service's row, which the pipeline reads for its own calls as well.
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

from notifications.domain import flow as rules
from notifications.domain.flow import US, CallCounts, Flow, Grant, Rate
from notifications.infra import clock
from notifications.models import ProviderFlow

P = ParamSpec("P")
T = TypeVar("T")
Errors = type[BaseException] | tuple[type[BaseException], ...]
_STATES = {"closed": "CLOSED", "open": "OPEN", "half_open": "HALF_OPEN"}
_MOST_AT_ONCE = 1_000


class BreakerOpen(Exception):
    """The call was not made: its service is blocked for now.

    retry_after_s: the seconds until a call may be made.
    """

    def __init__(self, text: str, retry_after_s: float) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class _FlowState(Protocol):
    """The stored state of a service."""

    def state(self) -> str:
        """Returns closed, open or half_open, as last read."""

    async def claim(self, *, owner: str, rate: Rate | None, count: int) -> Grant:
        """Claims slots for so many calls."""

    async def report(
        self, counts: CallCounts, *, owner: str, faults_to_open: int, open_us: int
    ) -> None:
        """Adds the results of calls."""


class _LocalState:
    """State in this object. Consecutive failures open its breaker, whatever time lies between."""

    def __init__(self) -> None:
        self._flow = Flow()

    @staticmethod
    def _now_us() -> int:
        frozen = clock.frozen()
        return int((frozen.timestamp() if frozen else clock.monotonic()) * US)

    def state(self) -> str:
        return self._flow.state(self._now_us())

    async def claim(self, *, owner: str, rate: Rate | None, count: int) -> Grant:
        self._flow, grant = rules.claim(
            self._flow, now=self._now_us(), owner=owner, rate=rate, wanted=[""] * count
        )
        return grant

    async def report(
        self, counts: CallCounts, *, owner: str, faults_to_open: int, open_us: int
    ) -> None:
        now, flow = self._now_us(), self._flow
        if not flow.open_until:
            flow = Flow(next_at=flow.next_at) if counts.successes else replace(flow, window_at=now)
        self._flow = rules.apply_report(
            flow, counts, now=now, owner=owner, faults_to_open=faults_to_open, open_us=open_us
        )


class _SharedState:
    """State in the row of a service. The row's own rule decides when its breaker opens."""

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

    async def report(
        self, counts: CallCounts, *, owner: str, faults_to_open: int, open_us: int
    ) -> None:
        _, self._state = await sync_to_async(ProviderFlow.objects.report)(
            self._service, counts, owner=owner, faults_to_open=faults_to_open, open_us=open_us
        )


def _state_of(service: str) -> _FlowState:
    return _SharedState(service) if service else _LocalState()


class CircuitBreaker:
    """Makes calls to a service, and blocks them for a time after several failures.

    After `timeout` seconds one call may probe the service, while others are refused.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        timeout: float = 60,
        expected_exception: Errors = Exception,
        *,
        service: str = "",
    ) -> None:
        """Creates a breaker.

        Args:
            failure_threshold: the failures that open it.
            timeout: the seconds for which it stays open.
            expected_exception: the exceptions that count as failures.
            service: a service of the pipeline, such as `ses`, whose breaker it then uses.

        Raises:
            ValueError: failure_threshold is less than 1, or timeout less than 0.
        """
        if failure_threshold < 1 or timeout < 0:
            raise ValueError("failure_threshold is at least 1, and timeout at least 0")
        self.failure_threshold = failure_threshold
        self.timeout = timeout
        self.expected_exception = expected_exception
        #: The consecutive failures of this object's calls.
        self.failure_count = 0
        #: The time of the last failure.
        self.last_failure_time: datetime | None = None
        self._flow_state = _state_of(service)
        self._name = f"breaker {secrets.token_hex(6)}"
        self._calls = itertools.count(1)

    @property
    def state(self) -> str:
        """CLOSED, OPEN, or HALF_OPEN while one call may probe."""
        return _STATES[self._flow_state.state()]

    async def call(self, func: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Awaits `func` and returns its result.

        Raises:
            BreakerOpen: the call was not made.
            Exception: the exception of `func`.
        """
        owner = f"{self._name}/{next(self._calls)}"
        grant = await self._flow_state.claim(owner=owner, rate=None, count=1)
        if not grant.count:
            paused = not grant.reason.startswith("breaker")
            text = "The service requested a wait" if paused else "Circuit breaker is OPEN"
            raise BreakerOpen(text, grant.retry_us / US)
        try:
            result = await func(*args, **kwargs)
        except self.expected_exception:
            self.failure_count += 1
            self.last_failure_time = clock.now()
            await self._report(CallCounts(faults=1), owner)
            raise
        except BaseException:
            await self._report(CallCounts(void=True), owner)  # it is no evidence about the service
            raise
        self.failure_count = 0
        await self._report(CallCounts(successes=1), owner)
        return result

    async def _report(self, counts: CallCounts, owner: str) -> None:
        await self._flow_state.report(
            counts,
            owner=owner,
            faults_to_open=self.failure_threshold,
            open_us=int(self.timeout * US),
        )


class AsyncRateLimiter:
    """Allows at most `rate` calls in any `period` seconds, evenly spaced."""

    def __init__(
        self,
        rate: int,
        period: float = 1.0,
        *,
        service: str = "",
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        """Creates a limiter.

        Args:
            rate: the calls in a period.
            period: seconds.
            service: a service of the pipeline, such as `ses`, whose slots it then claims.
            sleep: awaited with the seconds until a call may start.

        Raises:
            ValueError: rate is not a whole number of at least 1, or period is not above 0.
        """
        if rate < 1 or rate != int(rate) or not period > 0:
            raise ValueError("rate is a whole number of at least 1, and period is above 0 seconds")
        self.rate = int(rate)
        self.period = period
        self._rate = Rate(self.rate, period)
        self._flow_state = _state_of(service)
        self._sleep = sleep
        self._name = f"limiter {secrets.token_hex(6)}"
        self._queue = asyncio.Lock()

    async def acquire(self) -> None:
        """Waits until one call may start."""
        await self.acquire_batch(1)

    async def acquire_batch(self, count: int) -> None:
        """Waits until `count` calls may start; earlier callers come first.

        Raises:
            ValueError: count is less than 0.
        """
        if count < 0:
            raise ValueError("count is at least 0")
        async with self._queue:
            while count:
                grant = await self._flow_state.claim(
                    owner=self._name, rate=self._rate, count=min(count, _MOST_AT_ONCE)
                )
                if grant.is_probe:  # this object makes no calls: it returns the probe
                    await self._flow_state.report(
                        CallCounts(void=True), owner=self._name, faults_to_open=1, open_us=0
                    )
                count -= grant.count
                waits = [wait for wait in grant.waits if wait is not None]
                pause = max([*waits, *([grant.retry_us] if count else [])], default=0)
                if pause:
                    await self._sleep(pause / US)
