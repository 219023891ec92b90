"""Who gets which variant."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from notifications.domain.experiments.assignment import (
    Assignment,
    Inclusion,
    Split,
    Variant,
    assign_variant,
)

PEOPLE = [str(number) for number in range(20_000)]
LEAST_P = 1e-4
EVEN = Split("welcome", (Variant("control"), Variant("b")))
WEIGHTED = Split("weighted", (Variant("control", 5), Variant("b", 3), Variant("c", 2)))


def variants(split: Split, people: list[str] = PEOPLE) -> list[str | None]:
    return [assign_variant(split, person).variant for person in people]


class TestUniformity:
    @pytest.mark.parametrize("split", [EVEN, WEIGHTED, replace(WEIGHTED, test_id="another")])
    def test_variants_get_people_by_their_weights(self, split):
        counts = Counter(variants(split))
        total = sum(variant.weight for variant in split.variants)
        expected = [len(PEOPLE) * variant.weight / total for variant in split.variants]
        observed = [counts[variant.name] for variant in split.variants]
        assert stats.chisquare(observed, expected).pvalue > LEAST_P

    def test_many_tests_together_look_like_chance(self):
        p_values = []
        for number in range(100):
            counts = Counter(variants(replace(EVEN, test_id=f"test {number}"), PEOPLE[:1_000]))
            p_values.append(stats.chisquare([counts["control"], counts["b"]]).pvalue)
        assert stats.kstest(p_values, "uniform").pvalue > LEAST_P

    def test_a_long_run_of_ids_in_order_is_divided_evenly_throughout(self):
        for start in range(0, len(PEOPLE), 1_000):
            counts = Counter(variants(EVEN, PEOPLE[start : start + 1_000]))
            assert 400 < counts["b"] < 600


class TestIndependence:
    @pytest.mark.parametrize("other", ["welcome 2", "welcom", "5:welcome", "Welcome"])
    def test_two_tests_are_independent(self, other):
        first, second = variants(EVEN), variants(replace(EVEN, test_id=other))
        pairs = Counter(zip(first, second, strict=True))
        table = [[pairs[one, two] for two in ("control", "b")] for one in ("control", "b")]
        assert stats.chi2_contingency(table).pvalue > LEAST_P

    def test_traffic_holdout_and_variant_are_independent(self):
        """Who enters first, or is held out, tells nothing about the variant."""
        narrow = replace(EVEN, traffic_percentage=50)
        held = replace(EVEN, holdout_percentage=50)
        wide = variants(EVEN)
        for split, inside in ((narrow, Inclusion.IN_TEST), (held, Inclusion.HELD_OUT)):
            at = [assign_variant(split, person).standing is inside for person in PEOPLE]
            pairs = Counter(zip(at, wide, strict=True))
            table = [[pairs[one, two] for two in ("control", "b")] for one in (True, False)]
            assert stats.chi2_contingency(table).pvalue > LEAST_P

    def test_no_pair_of_test_and_person_is_the_same_text_as_another(self):
        """1:a + b:c and 3:a:b + c stay apart."""
        one = [assign_variant(replace(EVEN, test_id="a"), f"b:{n}").variant for n in range(64)]
        two = [assign_variant(replace(EVEN, test_id="a:b"), f"{n}").variant for n in range(64)]
        assert one != two


class TestTraffic:
    @pytest.mark.parametrize("percentage", [0.5, 10, 33.33, 90])
    def test_the_share_in_the_test_is_the_traffic_percentage(self, percentage):
        split = replace(EVEN, traffic_percentage=percentage)
        inside = sum(variant is not None for variant in variants(split))
        assert stats.binomtest(inside, len(PEOPLE), percentage / 100).pvalue > LEAST_P

    def test_no_one_and_everybody(self):
        none = {assign_variant(replace(EVEN, traffic_percentage=0), p) for p in PEOPLE}
        assert none == {Assignment(Inclusion.OUTSIDE)}
        assert None not in variants(replace(EVEN, traffic_percentage=100))
        held = {assign_variant(replace(EVEN, holdout_percentage=100), p) for p in PEOPLE}
        assert held == {Assignment(Inclusion.HELD_OUT)}

    def test_more_traffic_keeps_everybody_who_was_in_the_test(self):
        before = variants(replace(EVEN, traffic_percentage=20))
        after = variants(replace(EVEN, traffic_percentage=60))
        stayed = [(one, two) for one, two in zip(before, after, strict=True) if one is not None]
        assert stayed
        assert all(one == two for one, two in stayed)

    def test_the_holdout_is_taken_before_the_traffic(self):
        split = replace(EVEN, traffic_percentage=50, holdout_percentage=20)
        counts = Counter(assign_variant(split, person).standing for person in PEOPLE)
        expected = {Inclusion.HELD_OUT: 0.2, Inclusion.OUTSIDE: 0.4, Inclusion.IN_TEST: 0.4}
        for standing, share in expected.items():
            assert stats.binomtest(counts[standing], len(PEOPLE), share).pvalue > LEAST_P


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_same_person_always_gets_the_same(test_id, user_id):
    split = replace(WEIGHTED, test_id=test_id, traffic_percentage=70, holdout_percentage=5)
    assert assign_variant(split, user_id) == assign_variant(split, user_id)


def test_assignments_stay_the_same_across_releases():
    """A running test would be spoilt by another hash: these letters never change."""
    assert "".join(variant[0] for variant in variants(WEIGHTED, PEOPLE[:40])) == FIXED


FIXED = "ccccccbccccbbcbccccccbcbcbbccccbbccbbcbc"


@pytest.mark.parametrize(
    "changes",
    [
        {"variants": (Variant("a"),)},
        {"variants": (Variant("a"), Variant("a"))},
        {"variants": (Variant("a"), Variant("b", 0))},
        {"traffic_percentage": 100.5},
        {"holdout_percentage": -1},
    ],
)
def test_a_split_that_cannot_be_carried_out_is_refused(changes):
    with pytest.raises(ValueError, match=r"at least|percentage"):
        replace(EVEN, **changes)
