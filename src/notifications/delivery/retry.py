"""Decides when a message that no vendor accepted is retried, by named policies.

The decision is pure: it uses no Django, no clock and no random source. They come in as arguments,
so that the same facts always give the same decision.
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
    """`base_s * 2**n` seconds before the n-th retry, n from 0, with +-25 % jitter, then capped."""

    base_s: float
    cap_s: float

    def delay_s(self, repetition: int, random: float) -> float:
        """Returns the delay before a retry; random, from 0 to 1, selects the jitter."""
        # 2.0**1024 overflows; every cap is reached long before 2**64.
        delay = self.base_s * 2.0 ** min(repetition, 64)
        return min(delay * (1 + JITTER * (2 * random - 1)), self.cap_s)


@dataclass(frozen=True, slots=True)
class ListedDelays:
    """Exactly the listed delays; the last one repeats."""

    delays_s: tuple[float, ...]

    def delay_s(self, repetition: int, random: float) -> float:
        """Returns the delay before a retry. A listed delay has no jitter."""
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
    """Returns a policy name that contains these delays; it needs no entry in POLICIES."""
    return _LISTED + ",".join(f"{delay:g}" for delay in delays_s)


def delays_of(policy: str) -> ExponentialDelays | ListedDelays:
    """Returns the delays of a policy: a key of POLICIES, or a name that `listed_policy` made.

    Raises:
        KeyError: for an unknown policy.
    """
    if policy.startswith(_LISTED):
        return ListedDelays(tuple(float(each) for each in policy[len(_LISTED) :].split(",")))
    return POLICIES[policy]


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Retry after `delay_s` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not retry automatically."""

    #: `final`, `uncertain` or `attempts_exhausted`.
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
    """Decides whether and when a failed message is retried.

    Args:
        attempts_made: calls so far, from 1, including the one that just failed.
        max_attempts: calls in total: 3 means the first call and two retries.
        policy: a key of POLICIES, or a name that `listed_policy` made.
        retry_after_s: the delay that the provider requests. The retry is never earlier, except that
            a request counts for at most an hour.
        random: 0 to 1; selects the delay within the policy's jitter.
        verdict: the verdict of the call. An uncertain message is not retried. Only the category's
            crash policy may resend it; it then calls this function with RETRY.

    Raises:
        KeyError: for an unknown policy.
        ValueError: for a call that succeeded, or that was never made.
    """
    if verdict in (Verdict.SENT, Verdict.DELIVERED):
        raise ValueError(f"a message that was {verdict} is not retried")
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
    """Retries a coroutine function in place, with growing delays (a documented class).

    The pipeline does not use it: there, a delay is a row in the database, not a sleeping task.
    """

    def __init__(
        self,
        max_retries: int = 3,
        base_delay: float = 1.0,
        max_delay: float = 300.0,
        jitter: bool = True,
    ) -> None:
        """max_retries counts the calls after the first; base_delay and max_delay are in seconds."""
        self.max_retries = max_retries
        self.base_delay = base_delay
        self.max_delay = max_delay
        self.jitter = jitter

    def calculate_delay(self, attempt: int) -> float:
        """Returns the seconds before the retry that follows attempt `attempt`, counted from 0."""
        delays = ExponentialDelays(base_s=self.base_delay, cap_s=self.max_delay)
        return delays.delay_s(attempt, randomness.random() if self.jitter else 0.5)

    async def retry_with_backoff(
        self,
        func: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Calls `func` up to `1 + max_retries` times and returns the first result.

        The keyword `sleep` (an awaitable function of seconds) is not passed to `func`. It replaces
        the delay, so that a test does not wait.

        Raises:
            Exception: the exception of the last call.
        """
        # ParamSpec allows no keyword of our own besides P.kwargs.
        sleep = kwargs.pop("sleep", asyncio.sleep)
        for attempt in range(self.max_retries):
            try:
                return await func(*args, **kwargs)
            except Exception:
                await sleep(self.calculate_delay(attempt))  # type: ignore[operator]  # as above
        return await func(*args, **kwargs)
