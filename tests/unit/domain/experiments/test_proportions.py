"""The z-test and the intervals, against scipy and published examples."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from notifications.domain.experiments.proportions import (
    Arm,
    Interval,
    two_sided_z,
    wilson_interval,
    z_test,
)

NEAR = 1e-9


@st.composite
def arms(draw: st.DrawFn) -> Arm:
    people = draw(st.integers(1, 10**7))
    return Arm(people, draw(st.integers(0, people)))


LEVELS = st.sampled_from([0.8, 0.9, 0.95, 0.99, 0.999])


@given(arms(), arms(), LEVELS)
def test_the_z_test_is_scipys(a, b, level):
    found = z_test(a, b, confidence_level=level)
    assume(found is not None)
    table = [
        [a.conversions, a.people - a.conversions],
        [b.conversions, b.people - b.conversions],
    ]
    oracle = stats.chi2_contingency(table, correction=False)
    assert found.z_score**2 == pytest.approx(oracle.statistic, rel=NEAR, abs=NEAR)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(found.z_score)), rel=NEAR)
    error = math.hypot(
        stats.binom.std(a.people, a.rate) / a.people, stats.binom.std(b.people, b.rate) / b.people
    )
    low, high = stats.norm.interval(level, loc=b.rate - a.rate, scale=error or 1e-300)
    assert found.interval.low == pytest.approx(low, rel=NEAR, abs=NEAR)
    assert found.interval.high == pytest.approx(high, rel=NEAR, abs=NEAR)


@given(arms(), LEVELS)
def test_the_wilson_interval_is_scipys(arm, level):
    oracle = stats.binomtest(arm.conversions, arm.people).proportion_ci(level, method="wilson")
    found = wilson_interval(arm, confidence_level=level)
    assert found.low == pytest.approx(oracle.low, rel=NEAR, abs=NEAR)
    assert found.high == pytest.approx(oracle.high, rel=NEAR, abs=NEAR)
    assert 0 <= found.low <= arm.rate <= found.high <= 1


def test_published_wilson_intervals():
    """Newcombe (1998), Statistics in Medicine 17: 857-872, table I, method 3."""
    cases = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611)}
    for (conversions, people), (low, high) in cases.items():
        found = wilson_interval(Arm(people, conversions))
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert round(wilson_interval(Arm(29, 1)).high, 4) == 0.1718


@given(st.floats(0.001, 0.999999))
def test_quantiles_are_scipys(level):
    assert two_sided_z(level) == pytest.approx(stats.norm.ppf(0.5 + level / 2), rel=NEAR)


def test_the_documented_shape():
    found = z_test(Arm(1_000, 100), Arm(1_000, 130))
    assert found is not None
    assert found.documented() == {
        "variant_a": {"rate": 0.1, "count": 100, "total": 1_000},
        "variant_b": {"rate": 0.13, "count": 130, "total": 1_000},
        "statistical_significance": {
            "z_score": pytest.approx(2.102741, abs=1e-6),
            "p_value": pytest.approx(0.035488, abs=1e-6),
            "is_significant": True,
            "confidence_level": 0.95,
        },
        "winner": "B",
        "lift": pytest.approx(0.3),
    }


def test_the_winner_is_the_better_one_or_none():
    winners = [z_test(Arm(1_000, 100), Arm(1_000, count)).winner for count in (60, 105, 140)]
    assert winners == ["A", None, "B"]
    assert z_test(Arm(1_000, 100), Arm(1_000, 130), confidence_level=0.99).winner is None


def test_the_lift_over_nothing_is_0_as_documented():
    assert z_test(Arm(100, 0), Arm(100, 10)).lift == 0.0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Arm(0, 0), Arm(10, 1)),
        (Arm(10, 1), Arm(0, 0)),
        (Arm(10, 0), Arm(10, 0)),
        (Arm(10, 10), Arm(20, 20)),
    ],
)
def test_it_is_undefined_without_people_or_without_any_difference_among_them(a, b):
    assert z_test(a, b) is None


def test_an_arm_without_people():
    assert Arm(0, 0).rate == 0.0
    assert wilson_interval(Arm(0, 0)) == Interval(0.0, 1.0)


@pytest.mark.parametrize("counts", [(10, 11), (10, -1), (10, 5, 4), (10, 5, 11)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="conversions"):
        Arm(*counts)


def test_only_settled_people_count_as_not_converted():
    assert Arm(10, 2).unconverted == 8
    assert Arm(10, 2, settled=5).unconverted == 3
