"""Results: what they count, what blocks a winner, the automatic winner, the documented service."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync

from notifications.domain.analytics.counts import Cohort
from notifications.domain.callers import SYSTEM
from notifications.domain.engagement import CLICK_HUMAN, CLICK_MACHINE, quarter_of
from notifications.domain.experiments.proportions import Arm
from notifications.features.analytics.rollup import roll_up_due
from notifications.features.experiments.catalog import forget_tests
from notifications.features.experiments.counting import count_test
from notifications.features.experiments.result_schemas import ABTestPlanBody
from notifications.features.experiments.results import figures_of
from notifications.features.experiments.service import ABTestService
from notifications.features.experiments.winners import decide_due
from notifications.infra import clock
from notifications.models import (
    Conversion,
    Goal,
    MetricDelta,
    MetricRollup,
    NotificationABTest,
    NotificationAnalytics,
    OperatorAction,
)
from notifications.services import ABTestingService
from tests.integration.experiments.conftest import (
    deliver,
    engage,
    messages_of,
    send,
    started,
)
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def results(test):
    return ABTestService().results(identifier=test.pk, caller=SYSTEM)


def expose(test, variant, number, *, at=None, channel="email", provider="smtp"):
    """So many messages are handed over, as the records of slices count them."""
    cohort = Cohort(channel, None, provider, "key:1", f"{test.pk}:{variant}")
    MetricDelta.objects.append({quarter_of(at or clock.now()): {cohort: {"sent": number}}})


def succeed(test, variant, number, *, at=None, after=timedelta(minutes=1), machine=False):
    """People, or machines, click in so many of the messages of a variant, so long afterwards."""
    sent_at = at or clock.now()
    rows = make_rows(number)
    NotificationAnalytics.objects.bulk_create(
        NotificationAnalytics(
            notification_id=key,
            sent_at=sent_at,
            sent_quarter=quarter_of(sent_at),
            channel="email",
            provider="smtp",
            variant=f"{test.pk}:{variant}",
            clicked_at=None if machine else sent_at + after,
            flags=CLICK_MACHINE if machine else CLICK_HUMAN,
        )
        for key in rows
    )


_next = iter(range(10**9, 10**10))


def make_rows(number):
    """Keys of messages; the results read no more of them."""
    return [next(_next) for _ in range(number)]


def arms(test):
    return figures_of(test, now=clock.now()).arms


def test_results_count_hand_overs_and_clicks_of_people(running, people, frozen):
    test = running()
    for person in people:
        send(person)
    deliver()
    b, a = messages_of(f"{test.pk}:B"), messages_of(f"{test.pk}:A")
    engage(b[:3])
    engage(a[:5], machine=True)

    found = results(test)
    assert [(arm.variant, arm.exposures, arm.conversions) for arm in found.arms] == [
        ("A", len(a), 0),
        ("B", len(b), 3),
    ]
    assert found.arms[1].rate == pytest.approx(3 / len(b))
    assert found.arms[1].rate_low < found.arms[1].rate < found.arms[1].rate_high
    assert found.arms[1].settled == 3, "the window of the others is open"
    assert (found.winner, found.decision.conclusion) == (None, "continue")
    assert found.comparisons[0].lift is None, "control has no conversions"
    assert {(each.channel, each.provider) for each in found.segments} == {
        ("email", ""),
        ("email", "sandbox"),
    }
    assert all(each.exploratory for each in found.segments)

    roll_up_due()
    assert not MetricDelta.objects.exists()
    assert results(test) == found, "rolled up or not, the figures are the same"
    frozen.forward(8 * 86_400)
    assert [arm.settled for arm in results(test).arms] == [len(a), len(b)]


def test_rollups_and_deltas_are_read_together(running):
    test = running()
    expose(test, "A", 5)
    roll_up_due()
    expose(test, "A", 7)
    expose(test, "B", 1, channel="sms")
    assert MetricRollup.objects.count() == 1
    assert arms(test) == {"A": Arm(12, 0, 0), "B": Arm(0, 0, 0)}


def test_another_test_with_a_similar_id_is_not_counted(running):
    test = running()
    other = Cohort("email", None, "smtp", "key:1", f"{test.pk}1:A")
    MetricDelta.objects.append({quarter_of(clock.now()): {other: {"sent": 9}}})
    assert arms(test)["A"].people == 0


def test_only_successes_within_the_window_count(running, frozen):
    test = running(window_days=2)
    long_ago = frozen.now - 3 * DAY
    expose(test, "A", 100, at=long_ago)
    expose(test, "A", 10)
    succeed(test, "A", 4, at=long_ago, after=DAY)
    succeed(test, "A", 3, at=long_ago, after=2.5 * DAY)
    succeed(test, "A", 2)
    assert arms(test)["A"] == Arm(110, 6, 102)


def test_conversions_of_the_named_goal_count_once_a_message(running, frozen):
    goals = [Goal.objects.create(name=name, event=name) for name in ("bought", "other")]
    test = running(metric="conversion_rate", goal="bought")
    messages = make_messages(3, in_batch=False, status="sent")
    expose(test, "B", 3)
    for place, message in enumerate(messages):
        NotificationAnalytics.objects.create(
            notification=message,
            sent_at=frozen.now,
            sent_quarter=quarter_of(frozen.now),
            channel="email",
            provider="smtp",
            variant=f"{test.pk}:B",
        )
        for number, goal in enumerate(goals[place > 1 :]):
            Conversion.objects.create(
                goal=goal,
                event_id=10 * place + number,
                user_id=message.user_id,
                occurred_at=frozen.now + DAY * (1 + 9 * place * (goal.name == "bought")),
                message_id=message.pk,
            )
    assert arms(test)["B"] == Arm(3, 1, 1), "one in time, one too late, one of another goal"


@pytest.mark.parametrize("seed", range(5))
def test_clicks_of_machines_change_nothing(running, seed):
    rng = random.Random(seed)
    test = running()
    for variant in "AB":
        expose(test, variant, rng.randrange(50, 500))
        succeed(test, variant, rng.randrange(0, 50))
    before = results(test)
    for _ in range(rng.randrange(1, 5)):
        succeed(test, rng.choice("AB"), rng.randrange(1, 40), machine=True)
    assert results(test) == before


def planted(test, *, a, b):
    """Exposures whose window is over, and their successes."""
    long_ago = clock.now() - 10 * DAY
    for variant, (people, successes) in {"A": a, "B": b}.items():
        expose(test, variant, people, at=long_ago)
        succeed(test, variant, successes, at=long_ago)


def test_a_sample_ratio_mismatch_blocks_a_winner_and_says_why(running):
    test = running(automatic=True)
    planted(test, a=(1_000, 20), b=(700, 200))
    found = results(test)
    assert found.sample_ratio.mismatch
    assert found.sample_ratio.p_value < 0.001
    assert (found.decision.conclusion, found.decision.winner) == ("mismatch", None)
    assert "weights" in found.decision.explanation
    assert decide_due(now=clock.now()) == 0
    assert started(test.pk).status == "running"


def test_the_automatic_winner_is_recorded_and_sent_to_the_rest(running, people):
    test = running(automatic=True)
    planted(test, a=(1_000, 20), b=(1_000, 90))
    assert results(test).decision.winner == "B"
    assert decide_due(now=clock.now()) == 1
    assert decide_due(now=clock.now() + DAY) == 0
    row = started(test.pk)
    assert (row.status, row.winner_variant, row.ended_by) == ("completed", "B", "automatic")
    assert "B" in row.conclusion
    action = OperatorAction.objects.get(action="ab-test.decided")
    assert (action.actor, action.target) == ("system", f"ab-test:{test.pk}")
    forget_tests()
    made = {send(person).variant for person in people}
    assert made == {f"{test.pk}:B/ended"}


def test_a_test_without_a_difference_of_interest_ends_without_a_winner(running):
    test = running(automatic=True, expected_rate=0.5, expected_lift=0.2)
    planted(test, a=(4_000, 2_000), b=(4_000, 2_000))
    assert results(test).decision.conclusion == "no_difference"
    assert decide_due(now=clock.now()) == 1
    assert (started(test.pk).status, started(test.pk).winner_variant) == ("completed", "")


def test_clicks_of_machines_name_no_winner(running):
    test = running(automatic=True)
    planted(test, a=(1_000, 20), b=(1_000, 20))
    succeed(test, "B", 500, at=clock.now() - 10 * DAY, machine=True)
    assert decide_due(now=clock.now()) == 0


def test_the_round_looks_at_automatic_tests_alone_and_not_too_often(running, frozen):
    manual = running()
    planted(manual, a=(1_000, 20), b=(1_000, 90))
    assert decide_due(now=frozen.now) == 0
    NotificationABTest.objects.update(is_automatic=True, looked_at=frozen.now)
    assert decide_due(now=frozen.now + timedelta(minutes=4)) == 0
    assert decide_due(now=frozen.now + timedelta(minutes=5)) == 1


def test_a_winner_waits_for_the_minimum_sample(running):
    test = running(automatic=True, minimum_sample_size=5_000)
    planted(test, a=(1_000, 20), b=(1_000, 90))
    assert decide_due(now=clock.now()) == 0
    assert "5,000" in results(test).decision.explanation


def test_ending_twice_ends_once(running, monkeypatch):
    test = running(automatic=True)
    planted(test, a=(1_000, 20), b=(1_000, 90))
    stale = NotificationABTest.objects.filter(pk=test.pk)
    monkeypatch.setattr("notifications.features.experiments.winners.due_tests", lambda now: stale)
    ABTestService().stop(identifier=test.pk, caller=SYSTEM)
    assert decide_due(now=clock.now()) == 0
    assert started(test.pk).ended_by == "stopped"


def test_the_figures_cover_a_winner_without_a_bound(running):
    test = running()
    planted(test, a=(400, 0), b=(400, 60))
    found = results(test).comparisons[0]
    assert (found.better, found.worse, found.lift) == (True, False, None)
    assert found.z_test_p_value < 0.001


def test_a_plan_says_how_many_people_and_days():
    body = ABTestPlanBody(rate=0.02, lift=0.2, people_per_day=1_000, traffic_percentage=50)
    found = ABTestService().plan(body=body, caller=SYSTEM)
    assert (found.one_look, found.people, found.days) == (42_217, 67_547, 136)


class TestABTesting:
    """The documented service, with its documented model and values."""

    def test_variant_assignment_content_and_results(self, template, people):
        ab_test = NotificationABTest.objects.create(
            name="Subject line",
            template=template,
            variant_a_content={"subject": "Welcome"},
            variant_b_content={"subject": "Good to see you"},
            traffic_percentage=50,
            metric="click_rate",
            minimum_sample_size=1000,
            confidence_level=0.95,
        )
        ABTestService().start(identifier=ab_test.pk, caller=SYSTEM)
        ab_test.refresh_from_db()
        service = ABTestingService()
        assign = async_to_sync(service.assign_variant)
        variants = [assign(person, ab_test) for person in people]
        assert set(variants) == {"A", "B", "control"}
        assert [assign(person, ab_test) for person in people] == variants
        for person, variant in zip(people, variants, strict=True):
            expected = "" if variant == "control" else variant
            assert send(person).variant.partition("/")[0] == f"{ab_test.pk}:{expected}"

        content = async_to_sync(service.get_test_content)
        assert content(ab_test, "B") == {"subject": "Good to see you"}
        assert content(ab_test, "control") == {}

        calculate = async_to_sync(service.calculate_test_results)
        assert calculate(ab_test) == {"error": "Insufficient data for statistical analysis"}
        expose(ab_test, "A", 1_000)
        expose(ab_test, "B", 1_000)
        succeed(ab_test, "A", 20)
        succeed(ab_test, "B", 90)
        found = calculate(ab_test)
        assert found["variant_a"] == {"rate": 0.02, "count": 20, "total": 1_000}
        assert found["variant_b"] == {"rate": 0.09, "count": 90, "total": 1_000}
        assert found["statistical_significance"]["is_significant"]
        assert found["winner"] == "B"
        assert found["lift"] == pytest.approx(3.5)


def test_engagement_has_the_documented_names(running):
    test = running()
    succeed(test, "B", 1)
    row = NotificationAnalytics.objects.get()
    assert (row.ab_test_variant, row.ab_test_group) == ("B", str(test.pk))
    row = NotificationAnalytics(ab_test_variant="B", ab_test_group="7")
    assert (row.variant, row.ab_test_variant, row.ab_test_group) == ("7:B", "B", "7")


def test_counting_takes_two_queries(running, django_assert_num_queries):
    test = running()
    with django_assert_num_queries(2):
        count_test(test, now=clock.now())
