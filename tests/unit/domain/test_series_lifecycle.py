"""The states of a series, and who may enter it again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifications.domain.series.lifecycle import (
    OPEN,
    TRANSITIONS,
    EnrollmentState,
    MailSeriesStatus,
    may_become,
    may_enter_again,
)


def test_every_state_is_in_the_table_and_an_end_is_final() -> None:
    assert set(TRANSITIONS) == set(MailSeriesStatus)
    assert not TRANSITIONS[MailSeriesStatus.ENDED]
    assert {MailSeriesStatus.LIVE, MailSeriesStatus.PAUSED} == OPEN
    assert may_become("draft", MailSeriesStatus.LIVE)
    assert not may_become("draft", MailSeriesStatus.ENDED)
    assert not may_become("ended", MailSeriesStatus.LIVE)


@pytest.mark.parametrize(
    ("state", "after_days", "days", "may"),
    [
        (EnrollmentState.COMPLETED, None, 4_000, False),
        (EnrollmentState.COMPLETED, 30, 30, True),
        (EnrollmentState.COMPLETED, 30, 29, False),
        (EnrollmentState.EXITED, 1, 1, True),
        (EnrollmentState.HELD_OUT, 1, 2, True),
        (EnrollmentState.WAITING, 1, 400, False),
    ],
)
def test_who_may_enter_again(state: str, after_days: int | None, days: int, may: bool) -> None:
    passed = timedelta(days=days)
    assert may_enter_again(state, passed, after_days=after_days) is may
