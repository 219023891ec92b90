"""When a message that was surely not taken is tried again: one retrier, pure, by named policies.

Neither Django nor the clock nor a random source is reached from here: what is needed comes in as
arguments, so that the answer to the same facts is always the same.
"""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ParamSpec, TypeVar

from notifications.domain.messages import Verdict

P = ParamSpec("P")
T = TypeVar("T")

JITTER = 0.25
RETRY_AFTER_CAP_S = 3600.0


@dataclass(frozen=True, slots=True)
class ExponentialDelays:
    """`base_s * 2**n` for the n-th repetition, n from 0; spread by +-25 %, then capped."""

    base_s: float
    cap_s: float

    def delay_s(self, repetition: int, random: float) -> float:
        """The wait before a repetition; random from 0 to 1 places it within the spread."""
        # 2.0**1024 overflows; any cap is reached long before 2**64.
        delay = self.base_s * 2.0 ** min(repetition, 64)
        return min(delay * (1 + JITTER * (2 * random - 1)), self.cap_s)


@dataclass(frozen=True, slots=True)
class ListedDelays:
    """The waits that a source document lists, exactly; the last one serves all that follow."""

    delays_s: tuple[float, ...]

    def delay_s(self, repetition: int, random: float) -> float:
        """The wait before a repetition. A listed wait has no spread."""
        del random
        return self.delays_s[min(repetition, len(self.delays_s) - 1)]


POLICIES: Mapping[str, ExponentialDelays | ListedDelays] = MappingProxyType(
    {
        "delivery": ExponentialDelays(base_s=2.0, cap_s=300.0),
        "broadcast": ListedDelays((10.0, 60.0, 300.0)),
        "bulk": ListedDelays((60.0, 120.0, 240.0)),
        "scheduled": ListedDelays((300.0, 600.0, 1200.0)),
    }
)


_LISTED = "listed:"


def listed_policy(delays_s: Iterable[float]) -> str:
    """The name of a policy of these waits, which need no name of their own."""
    return _LISTED + ",".join(f"{delay:g}" for delay in delays_s)


def delays_of(policy: str) -> ExponentialDelays | ListedDelays:
    """The waits of a policy: one of POLICIES, or as `listed_policy` named it.

    Raises:
        KeyError: for a policy that has no name here.
    """
    if policy.startswith(_LISTED):
        return ListedDelays(tuple(float(each) for each in policy[len(_LISTED) :].split(",")))
    return POLICIES[policy]


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again, `delay_s` seconds from now."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Never try again by itself; reason is `final`, `uncertain` or `attempts_exhausted`."""

    reason: str


def decide_retry(
    *,
    attempts_made: int,
    max_attempts: int,
    policy: str,
    retry_after_s: float | None,
    random: float,
    verdict: Verdict = Verdict.RETRY,
) -> RetryAt | GiveUp:
    """Whether and when a message that did not go through is tried again.

    Args:
        attempts_made: calls so far, the one that just failed included; from 1.
        max_attempts: calls in all, so 3 means the first and two repetitions.
        policy: a key of POLICIES, or a name that `listed_policy` made.
        retry_after_s: the provider's wish. The retry is never earlier, except that no wish holds
            a message for more than an hour.
        random: 0 to 1, places the delay within the policy's spread.
        verdict: what became of the call. An uncertain message is given up here: only the
            category's crash policy may send it again, and then it asks as for a RETRY.

    Raises:
        KeyError: for a policy that has no name here.
        ValueError: for a call that succeeded, or that was never made.
    """
    if verdict in (Verdict.SENT, Verdict.DELIVERED):
        raise ValueError(f"a message that was {verdict} is not tried again")
    if attempts_made < 1:
        raise ValueError("attempts_made counts the call that just failed: it is at least 1")
    delays = delays_of(policy)
    if verdict is Verdict.FAILED:
        return GiveUp("final")
    if verdict is Verdict.UNCERTAIN:
        return GiveUp("uncertain")
    if attempts_made >= max_attempts:
        return GiveUp("attempts_exhausted")
    own_s = delays.delay_s(attempts_made - 1, random)
    return RetryAt(max(own_s, min(retry_after_s or 0.0, RETRY_AFTER_CAP_S)))


class ExponentialBackoffRetry:
    """Repeats a coroutine function in place, with growing pauses (documented; source document 004).

    The pipeline does not use it: a pause there is a row in the database, not a sleeping task.
    """

    def __init__(
        self,
        max_retries: int = 3,
        base_delay: float = 1.0,
        max_delay: float = 300.0,
        jitter: bool = True,
    ) -> None:
        """max_retries repetitions after the first call; base_delay and max_delay in seconds."""
        self.max_retries = max_retries
        self.base_delay = base_delay
        self.max_delay = max_delay
        self.jitter = jitter

    def calculate_delay(self, attempt: int) -> float:
        """Seconds before the repetition that follows attempt `attempt`, counted from 0."""
        delays = ExponentialDelays(base_s=self.base_delay, cap_s=self.max_delay)
        return delays.delay_s(attempt, randomness.random() if self.jitter else 0.5)

    async def retry_with_backoff(
        self,
        func: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Calls `func` up to `1 + max_retries` times and returns the first result.

        A keyword `sleep` (an awaitable function of seconds) is not handed on: it replaces the
        pause, so that a test need not wait.

        Raises:
            Exception: whatever the last call raised.
        """
        # ParamSpec allows no keyword of our own beside P.kwargs.
        sleep = kwargs.pop("sleep", asyncio.sleep)
        for attempt in range(self.max_retries):
            try:
                return await func(*args, **kwargs)
            except Exception:
                await sleep(self.calculate_delay(attempt))  # type: ignore[operator]  # as above
        return await func(*args, **kwargs)
