"""A token is valid from `nbf` until `exp`, extended by the clock tolerance on both sides."""

from __future__ import annotations

import pytest

from notifications.features.access.authentication import CLOCK_SKEW_S, Unauthenticated, check_times

pytestmark = pytest.mark.once
BEGINS, EXPIRES = 1_900_000_000, 1_900_000_100 + CLOCK_SKEW_S


@pytest.mark.parametrize("expires", range(EXPIRES, EXPIRES + 8))
def test_a_token_is_valid_until_the_clock_tolerance_after_its_expiry(expires: int) -> None:
    check_times(expires, 0, now=expires + CLOCK_SKEW_S - 0.5)
    with pytest.raises(Unauthenticated) as refused:
        check_times(expires, 0, now=expires + CLOCK_SKEW_S)
    assert refused.value.code == "expired_token"


def test_a_token_is_valid_from_the_clock_tolerance_before_its_start() -> None:
    check_times(EXPIRES, BEGINS, now=BEGINS - CLOCK_SKEW_S)
    with pytest.raises(Unauthenticated) as refused:
        check_times(EXPIRES, BEGINS, now=BEGINS - CLOCK_SKEW_S - 0.5)
    assert refused.value.code == "invalid_token"
