"""The bridge between two clocks: its bounds always hold, and one fast response narrows them."""

from __future__ import annotations

import math
import random

import pytest

from notifications.infra.database.clock_bridge import US, ClockBridge

AHEAD = 1_900_000_000.0  # how far the other clock is ahead of ours, in seconds


def learn(bridge, at, *, there=0.0, back=0.0, ahead=AHEAD):
    bridge.learn(int((at + there + ahead) * US), before=at, after=at + there + back)


def test_nothing_is_known_before_the_first_reading():
    assert ClockBridge().uncertainty_s() == math.inf


def test_nothing_is_known_after_it_was_forgotten():
    bridge = ClockBridge()
    learn(bridge, 100.0)
    assert bridge.now() is not None

    bridge.forget()

    assert bridge.now() is None
    assert bridge.uncertainty_s() == math.inf


def test_one_fast_response_makes_up_for_slow_ones():
    bridge = ClockBridge()
    learn(bridge, 100.0, there=0.3, back=0.5)
    assert bridge.uncertainty_s() == pytest.approx(0.8, abs=1e-4)
    learn(bridge, 101.0, there=0.0005, back=0.0005)
    assert bridge.uncertainty_s() == pytest.approx(0.001, abs=1e-4)
    learn(bridge, 102.0, there=0.4, back=0.1)

    assert bridge.uncertainty_s() < 0.002
    reached = bridge.latest_monotonic(int((110.0 + AHEAD) * US))
    assert reached + 1e-5 >= 110.0
    assert reached < 110.002


@pytest.mark.parametrize("seed", range(20))
def test_the_true_time_is_always_between_the_bounds(seed):
    chance = random.Random(seed)
    bridge, at = ClockBridge(), 50.0
    for _ in range(200):
        at += chance.expovariate(1.0)
        there, back = chance.expovariate(50), chance.expovariate(50)
        learn(bridge, at, there=there, back=back)
        at += there + back
        truth = at + 5
        reached = bridge.latest_monotonic(int((truth + AHEAD) * US))
        assert reached - bridge.uncertainty_s() - 1e-5 <= truth <= reached + 1e-5
    assert bridge.uncertainty_s() < 0.02


def test_a_clock_that_was_set_is_learned_again():
    bridge = ClockBridge()
    learn(bridge, 100.0, there=0.001, back=0.001)
    learn(bridge, 101.0, there=0.001, back=0.001, ahead=AHEAD - 3600)

    reached = bridge.latest_monotonic(int((102.0 + AHEAD - 3600) * US))
    assert 102.0 <= reached + 1e-5 < 102.01
