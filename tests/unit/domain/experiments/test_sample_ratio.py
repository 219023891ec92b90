"""Group sizes that contradict the weights."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from notifications.domain.experiments.assignment import Split, Variant, assign_variant
from notifications.domain.experiments.sample_ratio import LEVEL, sample_ratio


def test_the_evidence_is_the_ratio_of_published_distributions():
    people, weights = [5_100, 2_900, 2_000], [5, 3, 2]
    shares = [0.5, 0.3, 0.2]
    factors = [
        stats.dirichlet_multinomial.logpmf(people, [size * share for share in shares], 10_000)
        - stats.multinomial.logpmf(people, 10_000, shares)
        for size in (100, 10_000, 1_000_000)
    ]
    expected = math.log(sum(math.exp(factor) for factor in factors) / 3)
    assert sample_ratio(people, weights).log_evidence == pytest.approx(expected, rel=1e-7)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 20)), min_size=2, max_size=5),
)
def test_it_is_fair_to_the_next_person(arms):
    """The mean of the evidence after one more person is the evidence now, in a healthy test."""
    people, weights = [list(column) for column in zip(*arms, strict=True)]
    now = sample_ratio(people, weights).log_evidence
    mean = 0.0
    for index, weight in enumerate(weights):
        after = [count + (place == index) for place, count in enumerate(people)]
        mean += weight / sum(weights) * math.exp(sample_ratio(after, weights).log_evidence - now)
    assert mean == pytest.approx(1, abs=1e-6)


def test_without_people_there_is_no_evidence():
    found = sample_ratio([0, 0], [1, 1])
    assert found.log_evidence == pytest.approx(0)
    assert found.p_value == pytest.approx(1)
    assert not found.mismatch


@pytest.mark.parametrize(
    ("people", "weights"),
    [
        ([600, 400], [1, 1]),
        ([51_000, 49_000], [1, 1]),
        ([1_005_000, 995_000], [1, 1]),
        ([9_300, 700], [9, 1]),
        ([100_000, 100_000, 97_000], [1, 1, 1]),
    ],
)
def test_planted_mismatches_are_found(people, weights):
    found = sample_ratio(people, weights)
    assert found.mismatch
    assert found.p_value < LEVEL


@pytest.mark.parametrize("people", [[520, 480], [50_300, 49_700], [1_001_000, 999_000]])
def test_chance_is_not_a_mismatch(people):
    assert not sample_ratio(people, [1, 1]).mismatch


def test_one_lost_person_in_twenty_is_found_among_assigned_people():
    """A variant whose sends fail for 5 % of its people, looked at after each thousand people."""
    split = Split("loses people", (Variant("control"), Variant("b")))
    draw, counts, found_at = random.Random(5), {"control": 0, "b": 0}, None
    for person in range(200_000):
        name = assign_variant(split, str(person)).variant
        counts[name] += name == "control" or draw.random() > 0.05
        looked = person % 1_000 == 999
        if looked and sample_ratio(list(counts.values()), [1, 1]).mismatch:
            found_at = person + 1
            break
    assert found_at is not None
    assert found_at < 60_000


def test_assigned_people_are_not_called_mismatched():
    """Forty tests of 5,000 people, each looked at twenty times."""
    for test in range(40):
        split = Split(f"healthy {test}", (Variant("control", 3), Variant("b")))
        counts = {"control": 0, "b": 0}
        for person in range(5_000):
            counts[assign_variant(split, str(person)).variant] += 1
            if person % 250 == 249:
                assert not sample_ratio(list(counts.values()), [3, 1]).mismatch


def test_people_and_weights_must_match():
    with pytest.raises(ValueError, match="zip"):
        sample_ratio([1, 2, 3], [1, 1])
