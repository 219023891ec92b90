"""When a message is retried. The first class tests the documented class."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.delivery.retry import (
    POLICIES,
    RETRY_AFTER_CAP_S,
    ExponentialBackoffRetry,
    GiveUp,
    RetryAt,
    decide_retry,
    listed_policy,
)
from notifications.domain.messages import Verdict


async def no_pause(seconds: float) -> None:
    assert seconds >= 0


class TestExponentialBackoffRetry:
    def setup_method(self):
        self.retry_handler = ExponentialBackoffRetry(max_retries=3, base_delay=1.0, jitter=False)

    def test_delay_calculation(self):
        assert self.retry_handler.calculate_delay(0) == 1.0
        assert self.retry_handler.calculate_delay(1) == 2.0
        assert self.retry_handler.calculate_delay(2) == 4.0
        assert self.retry_handler.calculate_delay(3) == 8.0

    async def test_retry_success_on_second_attempt(self):
        attempts = 0

        async def failing_function():
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                raise Exception("First attempt fails")
            return "success"

        result = await self.retry_handler.retry_with_backoff(failing_function, sleep=no_pause)

        assert result == "success"
        assert attempts == 2

    async def test_retry_exhaustion(self):
        attempts = 0

        async def always_failing_function():
            nonlocal attempts
            attempts += 1
            raise Exception("Always fails")

        with pytest.raises(Exception, match="Always fails"):
            await self.retry_handler.retry_with_backoff(always_failing_function, sleep=no_pause)

        assert attempts == 4  # Initial + 3 retries

    async def test_arguments_are_passed_and_delays_are_as_calculated(self):
        pauses = []
        calls = []

        async def note(seconds):
            pauses.append(seconds)

        async def failing(first, *, second):
            calls.append((first, second))
            raise OSError("down")

        with pytest.raises(OSError, match="down"):
            await self.retry_handler.retry_with_backoff(failing, 1, second=2, sleep=note)

        assert calls == [(1, 2)] * 4
        assert pauses == [1.0, 2.0, 4.0]

    def test_delays_have_jitter_unless_it_is_off(self):
        handler = ExponentialBackoffRetry()

        assert len({handler.calculate_delay(0) for _ in range(20)}) > 1
        assert handler.calculate_delay(64) == 300.0

    @given(attempt=st.integers(0, 5000))
    def test_jitter_stays_within_a_quarter_and_never_passes_the_cap(self, attempt):
        handler = ExponentialBackoffRetry(base_delay=2.0, max_delay=300.0)

        delay = handler.calculate_delay(attempt)

        plain = 2.0 * 2 ** min(attempt, 20)
        assert min(plain * 0.75, 300) <= delay <= min(plain * 1.25, 300)


LATE = {"attempts_made": 8, "max_attempts": 99}
THIRD = {"attempts_made": 3, "max_attempts": 4}


def decide(**facts):
    given_facts = {
        "attempts_made": 1,
        "max_attempts": 3,
        "policy": "delivery",
        "retry_after_s": None,
        "random": 0.5,
        **facts,
    }
    return decide_retry(**given_facts)


@pytest.mark.parametrize(
    ("_case", "facts", "expected"),
    [
        ("first repetition", {}, RetryAt(2.0)),
        ("second repetition", {"attempts_made": 2}, RetryAt(4.0)),
        ("three calls in all", {"attempts_made": 3}, GiveUp("attempts_exhausted")),
        ("a fourth is not made either", {"attempts_made": 4}, GiveUp("attempts_exhausted")),
        ("lowest spread", {"random": 0.0}, RetryAt(1.5)),
        ("highest spread", {"random": 1.0}, RetryAt(2.5)),
        ("capped", {"attempts_made": 9, "max_attempts": 99}, RetryAt(300.0)),
        ("capped after the spread", {**LATE, "random": 1.0}, RetryAt(300.0)),
        ("spread before the cap", {**LATE, "random": 0.0}, RetryAt(192.0)),
        ("a longer wait requested", {"retry_after_s": 30.0}, RetryAt(30.0)),
        ("a shorter wait requested", {"retry_after_s": 1.0}, RetryAt(2.0)),
        ("a wait of a day requested", {"retry_after_s": 86_400.0}, RetryAt(3600.0)),
        ("a date that has passed", {"retry_after_s": -5.0}, RetryAt(2.0)),
        ("final", {"verdict": Verdict.FAILED}, GiveUp("final")),
        ("uncertain", {"verdict": Verdict.UNCERTAIN}, GiveUp("uncertain")),
        ("broadcast 1", {"policy": "broadcast"}, RetryAt(10.0)),
        ("broadcast 2", {"policy": "broadcast", "attempts_made": 2}, RetryAt(60.0)),
        ("broadcast 3", {"policy": "broadcast", **THIRD}, RetryAt(300.0)),
        ("broadcast later", {"policy": "broadcast", **LATE}, RetryAt(300.0)),
        ("bulk has no spread", {"policy": "bulk", "random": 0.0}, RetryAt(60.0)),
        ("bulk 2", {"policy": "bulk", "attempts_made": 2}, RetryAt(120.0)),
        ("bulk 3", {"policy": "bulk", **THIRD}, RetryAt(240.0)),
        ("bulk later", {"policy": "bulk", **LATE}, RetryAt(240.0)),
        ("listed", {"policy": listed_policy([1, 2.5])}, RetryAt(1.0)),
        ("listed 2", {"policy": "listed:1,2.5", "attempts_made": 2}, RetryAt(2.5)),
        ("scheduled", {"policy": "scheduled"}, RetryAt(300.0)),
        ("scheduled 2", {"policy": "scheduled", "attempts_made": 2}, RetryAt(600.0)),
        ("scheduled 3", {"policy": "scheduled", **THIRD}, RetryAt(1200.0)),
        ("scheduled later", {"policy": "scheduled", **LATE}, RetryAt(1200.0)),
    ],
)  # fmt: skip
def test_the_policy_decides(_case, facts, expected):
    assert decide(**facts) == expected


@pytest.mark.parametrize("verdict", [Verdict.SENT, Verdict.DELIVERED])
def test_a_succeeded_call_cannot_be_retried(verdict):
    with pytest.raises(ValueError, match=f"a message that was {verdict} is not retried"):
        decide(verdict=verdict)


def test_a_call_that_was_never_made_cannot_be_retried():
    with pytest.raises(ValueError, match="at least 1"):
        decide(attempts_made=0)


def test_an_unknown_policy_is_refused():
    with pytest.raises(KeyError, match="hourly"):
        decide(policy="hourly")


@given(
    attempts=st.integers(1, 100),
    policy=st.sampled_from(sorted(POLICIES)),
    requested_s=st.none() | st.floats(-10, 1e6),
    random=st.floats(0, 1),
)
def test_a_retry_is_never_earlier_than_requested_nor_beyond_the_caps(
    attempts, policy, requested_s, random
):
    choice = decide(
        attempts_made=attempts,
        max_attempts=101,
        policy=policy,
        retry_after_s=requested_s,
        random=random,
    )

    assert isinstance(choice, RetryAt)
    assert choice.delay_s >= min(requested_s or 0, RETRY_AFTER_CAP_S)
    assert 0 < choice.delay_s <= RETRY_AFTER_CAP_S
