"""When a test may stop, and its winner."""

from __future__ import annotations

import pytest

from notifications.domain.experiments import wording
from notifications.domain.experiments.decision import (
    Conclusion,
    Decision,
    StopRule,
    decide,
)
from notifications.domain.experiments.prior import ExperimentPlan
from notifications.domain.experiments.proportions import Arm

PLANNED = StopRule(plan=ExperimentPlan(rate=0.02, lift=0.2))


def two(control: Arm, variant: Arm, rule: StopRule = PLANNED, weights=(1, 1)) -> Decision:
    names = ("A", "B")
    return decide(
        dict(zip(names, (control, variant), strict=True)),
        dict(zip(names, weights, strict=True)),
        control="A",
        rule=rule,
    )


class TestTwoVariants:
    def test_the_better_variant_wins(self):
        found = two(Arm(20_000, 400), Arm(20_000, 520))
        assert (found.conclusion, found.winner) == (Conclusion.WINNER, "B")
        assert found.safe_to_stop
        assert found.more_people is None
        assert found.comparisons[0].lift == pytest.approx(0.3)
        assert found.comparisons[0].p_value < 0.05
        assert found.explanation == (
            "Safe to stop: B converts better (2.6 %) than A (2 %). "
            "The lift is between 6.74 % and 58.6 %."
        )

    def test_control_wins_against_a_worse_variant(self):
        found = two(Arm(20_000, 520), Arm(20_000, 400))
        assert (found.conclusion, found.winner) == (Conclusion.WINNER, "A")
        assert found.explanation == (
            "Safe to stop: A converts better (2.6 %) than the other variant."
        )

    def test_a_difference_that_may_be_chance_needs_more_people(self):
        found = two(Arm(5_000, 100), Arm(5_000, 120))
        assert found.conclusion is Conclusion.CONTINUE
        assert not found.safe_to_stop
        assert found.winner is None
        assert found.explanation.startswith("Keep running: the difference may still be chance.")
        assert "about 33,000 more people" in found.explanation
        more = found.more_people / 10_000 + 1
        people, ahead = round(5_000 * more), round(120 * more) + 1
        assert two(Arm(people, round(100 * more)), Arm(people, ahead)).winner == "B"
        assert two(Arm(people // 2, 50), Arm(people // 2, 60)).winner is None

    def test_a_worse_variant_too(self):
        found = two(Arm(5_000, 120), Arm(5_000, 100))
        assert found.conclusion is Conclusion.CONTINUE
        assert found.more_people == pytest.approx(33_000, rel=0.05)

    def test_no_difference_in_sight(self):
        found = two(Arm(5_000, 100), Arm(5_000, 100))
        assert found.more_people is None
        assert found.explanation == (
            "Keep running: no clear difference is in sight. You may also end without a winner."
        )

    def test_a_difference_smaller_than_the_planned_one_is_none(self):
        found = two(Arm(200_000, 4_000), Arm(200_000, 4_010))
        assert (found.conclusion, found.winner) == (Conclusion.NO_DIFFERENCE, None)
        assert found.safe_to_stop
        assert "within 20 % of control" in found.explanation

    def test_without_a_plan_no_difference_is_too_small(self):
        assert two(Arm(200_000, 4_000), Arm(200_000, 4_010), StopRule()).conclusion is (
            Conclusion.CONTINUE
        )

    def test_no_winner_before_the_minimum_of_people(self):
        rule = StopRule(minimum_people=1_000)
        found = two(Arm(900, 20), Arm(920, 90), rule)
        assert found.conclusion is Conclusion.CONTINUE
        assert found.more_people == 203
        assert "900 people" in found.explanation
        assert "1,000" in found.explanation
        assert two(Arm(900, 20), Arm(920, 90)).winner == "B"

    def test_without_people_there_is_nothing_to_say(self):
        found = two(Arm(0, 0), Arm(0, 0))
        assert (found.conclusion, found.more_people) == (Conclusion.CONTINUE, None)
        assert found.comparisons[0].lift is None
        assert found.explanation == "Keep running: a variant has no people yet."

    def test_few_conversions_are_few(self):
        """The usual confidence sequence would call each of these a difference."""
        assert two(Arm(950, 9), Arm(50, 0), weights=(19, 1)).winner is None
        assert two(Arm(1_900, 4), Arm(100, 0), weights=(19, 1)).winner is None

    def test_a_variant_over_a_control_without_conversions(self):
        found = two(Arm(5_000, 0), Arm(5_000, 40))
        assert found.winner == "B"
        assert found.comparisons[0].lift is None
        assert "The lift is at least" in found.explanation


class TestMismatch:
    def test_it_blocks_a_winner(self):
        found = two(Arm(5_000, 100), Arm(5_900, 300))
        assert (found.conclusion, found.winner) == (Conclusion.MISMATCH, None)
        assert not found.safe_to_stop
        assert "No winner is named." in found.explanation
        assert "below 1 in a billion" in found.explanation

    def test_the_chance_is_shown(self):
        found = two(Arm(5_000, 100), Arm(5_500, 300))
        assert "1 in 4,400" in found.explanation

    def test_weights_are_what_sizes_are_held_against(self):
        assert two(Arm(9_000, 180), Arm(1_000, 20), weights=(9, 1)).conclusion is (
            Conclusion.CONTINUE
        )
        assert two(Arm(9_000, 180), Arm(1_000, 20)).conclusion is Conclusion.MISMATCH


class TestManyVariants:
    def decide(self, *conversions: int, people: int = 20_000, rule=PLANNED) -> Decision:
        names = "ABCD"[: len(conversions)]
        arms = {name: Arm(people, count) for name, count in zip(names, conversions, strict=True)}
        return decide(arms, dict.fromkeys(names, 1), control="A", rule=rule)

    def test_the_best_of_those_better_than_control_wins(self):
        found = self.decide(400, 520, 560, 410)
        assert found.winner == "C"

    def test_each_is_held_against_control_at_a_part_of_the_level(self):
        alone = self.decide(400, 485)
        assert alone.winner == "B"
        assert self.decide(400, 485, 400, 400).winner is None
        levels = {comparison.level for comparison in self.decide(400, 485, 400, 400).comparisons}
        assert levels == {0.05 / 3}

    def test_control_wins_only_against_all(self):
        assert self.decide(600, 400, 420).winner == "A"
        assert "every other variant" in self.decide(600, 400, 420).explanation
        some = self.decide(600, 400, 590)
        assert some.winner is None
        assert some.more_people is None or some.more_people > 100_000

    def test_variants_that_do_not_differ(self):
        found = self.decide(4_000, 4_010, 4_020, people=200_000)
        assert found.conclusion is Conclusion.NO_DIFFERENCE

    def test_a_weight_is_needed_for_each(self):
        with pytest.raises(KeyError):
            decide({"A": Arm(1, 0), "B": Arm(1, 0)}, {"A": 1}, control="A")

    def test_one_variant_is_no_test(self):
        with pytest.raises(ValueError, match="two"):
            decide({"A": Arm(1, 0)}, {"A": 1}, control="A")


def test_a_winner_without_a_known_lift_is_explained_without_it():
    assert wording.variant_wins("B", 0.03, "A", 0.02, None) == (
        "Safe to stop: B converts better (3 %) than A (2 %)."
    )
