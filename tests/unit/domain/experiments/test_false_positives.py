"""Simulated tests: wrong winners, the power, and intervals that miss the true lift.

All of it, 10,000 tests a cell, is `make proof`; a part of it runs always. docs/experiments.md has
the figures.
"""

from __future__ import annotations

import pytest

from carillon.bench.experiments.arrivals import LOOKS, Pattern, Truth, simulate
from carillon.bench.experiments.table import (
    PATTERNS,
    RATES,
    SPLITS,
    false_positives,
    power,
    run,
)
from notifications.domain.experiments.planning import INFLATION, INFLATION_WITHOUT_PLAN
from notifications.domain.experiments.proportions import Arm, z_test

CELLS = [(weight, rate) for weight in SPLITS for rate in RATES]
MOST = 5.0
SAMPLING = 0.2
"""Two standard errors of a multiple over 150 tests."""


@pytest.mark.parametrize("pattern", PATTERNS)
def test_few_tests_without_a_difference_get_a_winner(pattern):
    """A sample: forty tests of each cell, all cells together."""
    found = [
        false_positives(rate, 1 / (weight + 1), PATTERNS[pattern], tests=40, seed=7)
        for weight, rate in CELLS
    ]
    for rule in ("unplanned", "planned"):
        assert sum(cell[rule] for cell in found) / len(found) <= MOST
    assert sum(cell["mismatch"] for cell in found) == 0


def test_the_simulation_shows_a_rule_that_errs():
    """The z-test, looked at after each step, errs in more than a quarter of the tests."""
    wrong = 0
    for looks, _ in simulate(Truth(0.1, 0.02, 0.02), PATTERNS["even"], tests=100, seed=2):
        tests = [
            z_test(Arm(look[0] + look[1], look[0]), Arm(look[2] + look[3], look[2]))
            for look in looks
        ]
        wrong += any(test is not None and test.is_significant for test in tests)
    assert wrong > 25


def test_the_planned_people_suffice_and_the_usual_rule_needs_more():
    found = power(0.02, 0.1, tests=150, seed=5)
    assert 0 < found["planned_80"] <= INFLATION + SAMPLING
    assert 0 < found["unplanned_80"] <= INFLATION_WITHOUT_PLAN + SAMPLING
    assert found["unplanned_at_1"] > found["guarded_at_1"]
    assert found["missed"] <= MOST


def test_people_arrive_as_the_pattern_says():
    (looks, exposed), *_ = simulate(
        Truth(0.25, 0.1, 0.2), Pattern(100, 400_000, grows=True), tests=1, seed=1
    )
    assert len(looks) == LOOKS
    assert exposed == looks
    assert sum(looks[0]) == pytest.approx(100, rel=0.5)
    assert sum(looks[-1]) == pytest.approx(400_000, rel=0.01)
    control, variant = looks[-1][0] + looks[-1][1], looks[-1][2] + looks[-1][3]
    assert variant / (control + variant) == pytest.approx(0.25, abs=0.005)
    assert looks[-1][0] / control == pytest.approx(0.1, abs=0.005)
    assert looks[-1][2] / variant == pytest.approx(0.2, abs=0.005)


def test_late_people_are_settled_at_the_end():
    (looks, exposed), *_ = simulate(Truth(0.5, 0.2, 0.2), PATTERNS["late"], tests=1, seed=1)
    assert {sum(look) for look in exposed} == {sum(looks[-1])}
    assert all(look[1] == look[3] == 0 for look in looks[:-1])
    assert looks[-1] == exposed[-1]


def test_the_command_names_every_cell():
    found = run(tests=5, parts="late")
    assert [key for key in found if "%" in key] == [
        f"{weight}:1 {rate} %" for weight in (1, 9, 19) for rate in ("0.2", "2", "20")
    ]
    assert found["1:1 2 %"]["late"].keys() == {"unplanned", "planned", "guarded", "mismatch"}


def test_the_cells_are_the_same_in_any_number_of_processes():
    one, two = (run(tests=10, parts="even", processes=count) for count in (1, 2))
    assert one == two
    with pytest.raises(ValueError, match="even, growing, late and power"):
        run(tests=10, parts="even,never")


@pytest.mark.proof
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("weight", "rate"), CELLS)
def test_no_cell_exceeds_five_percent(weight, rate, pattern):
    found = false_positives(rate, 1 / (weight + 1), PATTERNS[pattern], tests=10_000, seed=1)
    assert found["unplanned"] <= MOST
    assert found["planned"] <= MOST
    assert found["mismatch"] <= 0.1


@pytest.mark.proof
@pytest.mark.parametrize(("weight", "rate"), CELLS)
def test_every_cell_has_the_promised_power(weight, rate):
    found = power(rate, 1 / (weight + 1), tests=2_000, seed=1)
    assert 0 < found["planned_80"] <= INFLATION
    assert 0 < found["unplanned_80"] <= INFLATION_WITHOUT_PLAN
    assert found["missed"] <= MOST
