"""The evidence is a fair game without a difference, whatever the rates and the plan."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from carillon.bench.experiments.rules import ceilings_of
from notifications.domain.experiments.evidence import (
    evidence,
    evidence_of,
    lift_interval,
)
from notifications.domain.experiments.prior import (
    NO_PLAN,
    ExperimentPlan,
    components,
    rates_of,
)
from notifications.domain.experiments.proportions import Arm

PLANS = st.builds(
    ExperimentPlan,
    rate=st.none() | st.floats(0.0005, 0.95),
    lift=st.none() | st.floats(0.01, 20),
)
SHARES = st.sampled_from([0.5, 0.1, 0.05, 0.9])
COUNTS = st.tuples(*[st.integers(0, 3_000)] * 4)


def mean_after(counts, index, *, share, plan, direction):
    """The mean factor of one more person: index 0 who converts, index 1 who does not."""
    now = getattr(evidence_of(counts, share=share, plan=plan), direction)
    mean = 0.0
    for place, weight in ((index, 1 - share), (index + 2, share)):
        after = tuple(count + (at == place) for at, count in enumerate(counts))
        then = getattr(evidence_of(after, share=share, plan=plan), direction)
        mean += weight * math.exp(then - now)
    return mean


class TestFairness:
    @given(COUNTS, SHARES, PLANS, st.sampled_from([0, 1]), st.sampled_from(["better", "worse"]))
    def test_the_next_person_leaves_the_mean_as_it_is(self, counts, share, plan, index, direction):
        mean = mean_after(counts, index, share=share, plan=plan, direction=direction)
        assert mean == pytest.approx(1, abs=1e-9)

    @pytest.mark.parametrize("share", [0.5, 0.05])
    @pytest.mark.parametrize("plan", [NO_PLAN, ExperimentPlan(rate=0.2, lift=0.5)])
    def test_its_mean_over_all_outcomes_is_1(self, share, plan):
        """Twelve converted people and thirty others, in every division that weights may give."""
        mean = 0.0
        for converted in range(13):
            for stayed in range(31):
                chance = stats.binom.pmf(converted, 12, share) * stats.binom.pmf(stayed, 30, share)
                counts = (12 - converted, 30 - stayed, converted, stayed)
                mean += chance * math.exp(evidence_of(counts, share=share, plan=plan).log_value)
        assert mean == pytest.approx(1, abs=1e-9)

    @pytest.mark.parametrize("plan", [NO_PLAN, ExperimentPlan(rate=0.2, lift=0.5)])
    def test_a_worse_variant_is_called_better_even_less(self, plan):
        """With 30 % for control and 20 % for the variant, the mean of `better` is below 1."""
        mean = 0.0
        for converted in range(13):
            for stayed in range(31):
                chance = stats.binom.pmf(converted, 12, 0.4) * stats.binom.pmf(stayed, 30, 8 / 15)
                counts = (12 - converted, 30 - stayed, converted, stayed)
                mean += chance * math.exp(evidence_of(counts, share=0.5, plan=plan).better)
        assert mean < 1

    @given(SHARES, PLANS, st.sampled_from([1, -1]))
    def test_weights_sum_to_1_and_each_difference_keeps_the_overall_rate(self, share, plan, sign):
        parts = components(share, plan, sign)
        assert sum(math.exp(part[0]) for part in parts) == pytest.approx(1, abs=1e-12)
        for _, *logs in parts:
            for control, variant in ((logs[0], logs[2]), (logs[1], logs[3])):
                mean = (1 - share) * math.exp(control) + share * math.exp(variant)
                assert mean == pytest.approx(1, abs=1e-12)

    @given(st.floats(1e-6, 1 - 1e-6), st.floats(-12, 12), SHARES)
    def test_rates_have_the_wanted_odds_ratio_and_overall_rate(self, overall, log_odds, share):
        rates = rates_of(overall, log_odds, share)
        assert rates.overall == pytest.approx(overall, rel=1e-6)
        assert 0 < rates.control < 1
        odds = rates.variant * (1 - rates.control)
        odds /= rates.control * (1 - rates.variant)
        assert odds == pytest.approx(math.exp(log_odds), rel=1e-4)


class TestEvidence:
    def test_no_people_are_no_evidence(self):
        found = evidence(Arm(0, 0), Arm(0, 0), share=0.5)
        assert (found.better, found.worse) == (pytest.approx(0), pytest.approx(0))
        assert found.p_value == 1

    def test_the_better_side_is_named(self):
        found = evidence(Arm(10_000, 200), Arm(10_000, 300), share=0.5)
        assert found.favours_variant(0.05)
        assert not found.favours_control(0.05)
        assert found.p_value < 0.001
        assert evidence(Arm(10_000, 300), Arm(10_000, 200), share=0.5).favours_control(0.05)

    @given(COUNTS, PLANS)
    def test_both_sides_are_treated_alike(self, counts, plan):
        one, two, three, four = counts
        found = evidence_of(counts, share=0.5, plan=plan)
        swapped = evidence_of((three, four, one, two), share=0.5, plan=plan)
        assert found.better == pytest.approx(swapped.worse, abs=1e-6)
        assert found.worse == pytest.approx(swapped.better, abs=1e-6)

    @given(COUNTS, SHARES, PLANS)
    def test_it_is_below_the_ceiling_by_which_the_benchmark_skips_looks(self, counts, share, plan):
        found = evidence_of(counts, share=share, plan=plan)
        better, worse = ceilings_of(counts, share)
        assert found.better <= better + 1e-9
        assert found.worse <= worse + 1e-9

    def test_a_p_value_below_the_level_is_a_winner(self):
        for conversions in range(100, 200):
            found = evidence(Arm(5_000, 100), Arm(5_000, conversions), share=0.5)
            assert (found.p_value <= 0.05) == found.favours_variant(0.05)

    def test_people_who_may_still_convert_count_as_nothing(self):
        all_settled = evidence(Arm(500, 30), Arm(480, 45), share=0.5)
        waiting = evidence(Arm(900, 30, settled=500), Arm(700, 45, settled=480), share=0.5)
        assert waiting == all_settled

    def test_a_good_plan_needs_less_and_a_wrong_one_more(self):
        arms = Arm(20_000, 400), Arm(20_000, 490)
        by_plan = {
            lift: evidence(*arms, share=0.5, plan=ExperimentPlan(rate=0.02, lift=lift)).better
            for lift in (0.02, 0.2, 3.0)
        }
        without = evidence(*arms, share=0.5).better
        assert by_plan[0.2] > without > max(by_plan[0.02], by_plan[3.0])

    @pytest.mark.parametrize("figures", [{"rate": 0.0}, {"rate": 1.0}, {"lift": 0.0}, {"lift": -1}])
    def test_an_impossible_plan_is_refused(self, figures):
        with pytest.raises(ValueError, match="expected"):
            ExperimentPlan(**figures)

    def test_a_lift_beyond_everybody_is_the_largest(self):
        assert ExperimentPlan(rate=0.6, lift=1.0).log_odds_ratio() == 3.0


class TestLiftInterval:
    @given(COUNTS, SHARES, PLANS)
    def test_it_excludes_0_for_a_winner(self, counts, share, plan):
        one, two, three, four = counts
        arms = Arm(one + two, one), Arm(three + four, three)
        found = evidence(*arms, share=share, plan=plan)
        interval = lift_interval(*arms, share=share, plan=plan)
        if interval is None:
            return
        assert interval.low <= interval.high
        if found.favours_variant(0.05):
            assert interval.low > -1e-9
        if found.favours_control(0.05):
            assert interval.high < 1e-9
        if found.log_value < math.log(20) - 1e-6:
            assert interval.low <= 1e-9
            assert interval.high >= -1e-9

    def test_more_people_narrow_it_around_the_lift(self):
        widths = []
        for size in (1, 10, 100):
            arms = Arm(5_000 * size, 100 * size), Arm(5_000 * size, 120 * size)
            interval = lift_interval(*arms, share=0.5)
            assert interval.low < 0.2 < interval.high
            widths.append(interval.high - interval.low)
        assert widths[0] > 2 * widths[1] > 4 * widths[2]

    def test_one_side_may_be_open(self):
        up = lift_interval(Arm(5_000, 0), Arm(5_000, 30), share=0.5)
        down = lift_interval(Arm(5_000, 30), Arm(5_000, 0), share=0.5)
        assert up.low > 0
        assert math.isinf(up.high)
        assert down.low == -1
        assert down.high < 0

    def test_nothing_is_known_without_conversions_or_with_mismatched_groups(self):
        assert lift_interval(Arm(50, 0), Arm(50, 0), share=0.5) is None
        assert lift_interval(Arm(5_000, 100), Arm(5_600, 100), share=0.5) is None

    def test_a_smaller_level_widens_it(self):
        arms = Arm(5_000, 100), Arm(5_000, 150)
        usual = lift_interval(*arms, share=0.5)
        strict = lift_interval(*arms, share=0.5, level=0.001)
        assert strict.low < usual.low
        assert strict.high > usual.high
