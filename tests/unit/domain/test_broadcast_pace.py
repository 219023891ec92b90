"""The rate of a broadcast."""

from __future__ import annotations

import pytest

from notifications.domain.broadcast_pace import add_moment, eta_seconds, rate_per_second


class TestMoments:
    def test_moments_near_each_other_are_one(self):
        pace = add_moment([], 0, at=100)
        assert add_moment(pace, 50, at=104) == [[100, 0]]
        assert add_moment(pace, 50, at=105) == [[100, 0], [105, 50]]

    def test_old_moments_are_dropped_but_never_all(self):
        pace = [[100, 0], [130, 300], [155, 500]]
        assert add_moment(pace, 600, at=165) == [[130, 300], [155, 500], [165, 600]]
        assert add_moment(pace, 600, at=1_000) == [[155, 500], [1_000, 600]]

    def test_a_retry_begins_a_new_pace(self):
        assert add_moment([[100, 0], [130, 300]], 200, at=140) == [[100, 0], [140, 200]]


class TestRate:
    @pytest.mark.parametrize(
        ("pace", "settled", "at", "rate"),
        [
            ([], 10, 100, 0.0),
            ([[100, 0]], 500, 110, 50.0),
            ([[100, 0], [130, 300], [155, 500]], 600, 165, 8.57),  # from 130: the last minute
            ([[100, 0]], 500, 161, 0.0),  # nothing in the last minute is known
            ([[100, 0]], 5, 100, 5.0),  # never divided by less than a second
            ([[100, 400]], 300, 110, 0.0),  # fewer than before: a retry
        ],
    )
    def test_the_rate_is_the_settled_recipients_a_second(self, pace, settled, at, rate):
        assert rate_per_second(pace, settled, at=at) == rate

    @pytest.mark.parametrize(
        ("pending", "rate", "eta"), [(0, 0.0, 0), (100, 0.0, None), (100, 30.0, 4), (1, 100.0, 1)]
    )
    def test_the_remaining_time_is_rounded_up(self, pending, rate, eta):
        assert eta_seconds(pending, rate) == eta
