"""How many people a test needs."""

from __future__ import annotations

import math
import random

import pytest

from notifications.domain.experiments.planning import (
    INFLATION,
    INFLATION_WITHOUT_PLAN,
    duration_days,
    sample_size,
)
from notifications.domain.experiments.proportions import Arm, z_test


def test_published_example():
    """R, help of power.prop.test: p1 = 0.50, p2 = 0.75, power = 0.90 needs n = 76.7 a group."""
    assert sample_size(rate=0.5, lift=0.5, power=0.9).fixed == math.ceil(2 * 76.7)


@pytest.mark.parametrize("weights", [(1, 1), (9, 1)])
def test_so_many_people_have_the_promised_power(weights):
    people = sample_size(rate=0.1, lift=0.5, weights=weights).fixed
    sizes = [round(people * weight / sum(weights)) for weight in weights]
    draw, found = random.Random(3), 0
    for _ in range(600):
        counts = [
            sum(draw.random() < rate for _ in range(size))
            for size, rate in zip(sizes, (0.1, 0.15), strict=True)
        ]
        found += z_test(*map(Arm, sizes, counts)).is_significant
    assert 0.75 < found / 600 < 0.85


def test_the_stop_rule_needs_more_by_the_measured_factors():
    found = sample_size(rate=0.02, lift=0.2)
    assert found.planned == pytest.approx(INFLATION * found.fixed, abs=2)
    assert found.unplanned == pytest.approx(INFLATION_WITHOUT_PLAN * found.fixed, abs=2)


def test_more_variants_and_uneven_weights_need_more():
    even = sample_size(rate=0.02, lift=0.2).fixed
    assert sample_size(rate=0.02, lift=0.2, weights=(9, 1)).fixed > 2 * even
    three = sample_size(rate=0.02, lift=0.2, weights=(1, 1, 1)).fixed
    assert three == pytest.approx(sample_size(rate=0.02, lift=0.2, level=0.025).fixed * 1.5, abs=2)


@pytest.mark.parametrize(("rate", "lift"), [(0, 0.1), (1, 0.1), (0.6, 0.7), (0.1, 0), (0.1, -1)])
def test_rates_out_of_reach_are_refused(rate, lift):
    with pytest.raises(ValueError, match="between 0 and 1"):
        sample_size(rate=rate, lift=lift)


def test_a_duration_counts_only_people_who_enter():
    assert duration_days(10_000, people_per_day=1_000) == 10
    assert duration_days(10_001, people_per_day=1_000) == 11
    assert duration_days(10_000, people_per_day=1_000, traffic_percentage=25) == 40
    assert duration_days(10_000, people_per_day=0) is None
    assert duration_days(10_000, people_per_day=10, traffic_percentage=0) is None


@pytest.mark.parametrize(
    ("rate", "lift"), [(0.25, -4.8e-222), (0.25, 1e-12), (5e-324, 0.5), (1e-300, 100), (0.5, 0.0)]
)
def test_a_difference_that_no_test_can_measure_is_refused(rate: float, lift: float):
    with pytest.raises(ValueError, match=r"rate|difference"):
        sample_size(rate=rate, lift=lift)


def test_a_test_that_nearly_no_one_enters_has_no_duration():
    assert duration_days(1_000, people_per_day=1e-300) is None
    assert duration_days(1_000, people_per_day=5e-324, traffic_percentage=1e-9) is None
    assert duration_days(1_000, people_per_day=300) == 4
