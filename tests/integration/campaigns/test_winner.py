"""A campaign tests two texts on a part of its people, and sends the rest the winner, once."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import pytest
from django.db import connection

from notifications.domain.callers import SYSTEM
from notifications.domain.errors import Conflict, InvalidRequest
from notifications.features.campaigns.progress import campaign_progress
from notifications.features.campaigns.upkeep import maintain_campaigns
from notifications.features.campaigns.variants import rest
from notifications.features.experiments.schemas import ABTestChangeBody, ABTestDeclareBody
from notifications.features.experiments.service import ABTestService
from notifications.infra import clock
from notifications.models import Broadcast, NotificationABTest, OperatorAction, TemplateVersion
from tests.integration.campaigns.factories import (
    SERVICE,
    act,
    change,
    counts,
    finish,
    fresh,
    go_on,
    held_out,
    make_campaign,
    make_news,
    make_students,
    messaged,
    recipients,
    schedule,
    staff,
)
from tests.integration.campaigns.variant_factories import (
    SHORT,
    USUAL,
    ab_test_row,
    b_is_better,
    figures,
    in_test,
    make_tested,
    plan,
    rest_of,
    shown,
)
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
HOUR = 3_600


@pytest.fixture
def people(frozen):
    return set(make_students(count=30))


@pytest.fixture
def testing(people):
    """A running campaign whose test part is sent."""
    made = act("launch", make_tested())
    go_on()
    return fresh(made)


def settle(frozen, hours=5):
    frozen.forward(hours * HOUR)


def progress(made):
    return campaign_progress(fresh(made), now=clock.now())


def rest_texts(made):
    tested = in_test(made)
    return {text for person, text in shown(made).items() if person not in tested}


class TestDeciding:
    def test_the_rest_waits_and_gets_the_winner(self, people, testing, frozen):
        tested = in_test(testing)
        assert 0 < len(tested) < 30
        assert set(tested.values()) == {"A", "B"}
        assert messaged(testing) == set(tested), "only the test was sent"
        row = ab_test_row(testing)
        paths = {"A": USUAL, "B": SHORT}
        assert shown(testing) == {
            person: (paths[name], f"{row.pk}:{name}") for person, name in tested.items()
        }
        assert counts(testing) == {"sent": len(tested), "pending": 30 - len(tested)}
        assert (testing.status, rest_of(testing).status) == ("running", "draft")

        b_is_better(testing)
        settle(frozen)
        made = finish(testing)
        assert made.status == "completed"
        assert recipients(made) == messaged(made) == people
        assert rest_texts(made) == {(SHORT, f"{row.pk}:B/ended")}
        assert counts(made) == {"sent": 30}
        row.refresh_from_db()
        assert (row.status, row.winner_variant, row.ended_by) == ("completed", "B", "automatic")
        assert row.in_force is False, "other sends of the template are not changed"

    def test_progress_has_the_counts_of_the_variants_and_the_decision(self, testing, frozen):
        found = progress(testing).ab_test
        assert found is not None
        by_name = list(in_test(testing).values())
        assert [(each.variant, each.exposures) for each in found.variants] == [
            (name, by_name.count(name)) for name in ("A", "B")
        ]
        assert found.deadline == frozen.now + timedelta(hours=24)
        assert (found.rest_variant, found.winner, found.safe_to_stop) == (None, None, False)
        assert [each.part for each in progress(testing).groups] == ["test", "rest"]

        b_is_better(testing)
        settle(frozen)
        finish(testing)
        found = progress(testing).ab_test
        assert (found.status, found.winner, found.rest_variant) == ("completed", "B", "B")
        assert found.rest_released_at is not None
        assert "B converts better" in found.explanation

    def test_without_a_winner_the_rest_gets_the_first_variant_at_the_deadline(
        self, testing, frozen
    ):
        settle(frozen, 23)
        go_on()
        assert rest_of(testing).status == "draft"
        settle(frozen, 1)
        made = finish(testing)
        row = ab_test_row(made)
        assert rest_texts(made) == {(USUAL, f"{row.pk}:A/ended")}
        assert (made.status, row.winner_variant) == ("completed", "")
        assert row.conclusion.startswith("No winner was known at the deadline. The rest gets A.")

    def test_the_first_variant_may_be_another_template(self, people, frozen):
        swapped = [{"name": "S", "template_path": SHORT}, {"name": "U"}]
        made = act("launch", make_tested(ab_test={"variants": swapped}))
        go_on()
        settle(frozen, 24)
        finish(made)
        assert rest_texts(made) == {(SHORT, f"{ab_test_row(made).pk}:S/ended")}

    def test_a_test_without_a_difference_of_interest_ends_before_the_deadline(self, people, frozen):
        expected = {"expected_rate": 0.1, "expected_lift": 0.5}
        made = act("launch", make_tested(ab_test=expected))
        go_on()
        for name in ("A", "B"):
            figures(made, name, 5_000, 500)
        settle(frozen)
        finish(made)
        row = ab_test_row(made)
        assert row.winner_variant == ""
        assert row.conclusion.startswith("The rest gets A. Safe to stop: there is no difference")
        assert rest_texts(made) == {(USUAL, f"{row.pk}:A/ended")}

    def test_by_deadline_alone_the_figures_wait(self, people, frozen):
        made = act("launch", make_tested(ab_test={"decide": "deadline"}))
        go_on()
        b_is_better(made)
        settle(frozen, 23)
        go_on()
        assert rest_of(made).status == "draft"
        assert progress(made).ab_test.safe_to_stop
        settle(frozen, 1)
        finish(made)
        assert rest_texts(made) == {(SHORT, f"{ab_test_row(made).pk}:B/ended")}

    def test_a_sample_ratio_mismatch_blocks_the_winner(self, testing, frozen):
        figures(testing, "A", 3_000, 30)
        figures(testing, "B", 1_000, 150)
        settle(frozen)
        go_on()
        assert rest_of(testing).status == "draft"
        settle(frozen, 19)
        finish(testing)
        row = ab_test_row(testing)
        assert row.winner_variant == ""
        assert "the groups do not have the sizes" in row.conclusion
        assert rest_texts(testing) == {(USUAL, f"{row.pk}:A/ended")}

    def test_open_windows_decide_nothing(self, testing, frozen):
        figures(testing, "A", 3_000, 0)
        figures(testing, "B", 3_000, 0)
        settle(frozen, 1)
        go_on()
        assert rest_of(testing).status == "draft"

    def test_a_person_declares_the_winner(self, testing):
        body = ABTestDeclareBody(winner="B", reason="shorter is nicer")
        ABTestService().declare(identifier=ab_test_row(testing).pk, body=body, caller=SYSTEM)
        made = finish(testing)
        row = ab_test_row(made)
        assert rest_texts(made) == {(SHORT, f"{row.pk}:B/ended")}
        assert (row.ended_by, row.in_force) == ("declared", False)

    def test_a_person_stops_the_test(self, testing):
        ABTestService().stop(identifier=ab_test_row(testing).pk, caller=SYSTEM)
        made = finish(testing)
        assert rest_texts(made) == {(USUAL, f"{ab_test_row(made).pk}:A/ended")}

    def test_the_decision_is_in_the_audit_log(self, testing, frozen):
        b_is_better(testing)
        settle(frozen)
        finish(testing)
        actions = list(OperatorAction.objects.values_list("action", flat=True))
        assert actions.count("ab-test.decided") == actions.count("campaign.release") == 1
        entry = OperatorAction.objects.get(action="campaign.release")
        assert entry.reason == "the rest gets B"


class TestOnceEach:
    def test_a_crash_while_the_rest_is_released_changes_nothing(
        self, people, testing, frozen, monkeypatch
    ):
        b_is_better(testing)
        settle(frozen)
        with monkeypatch.context() as patched:
            patched.setattr(rest, "write_audit_entry", _crash)
            maintain_campaigns(now=clock.now())
        assert ab_test_row(testing).status == "running", "the decision was rolled back, too"
        assert (rest_of(testing).status, fresh(testing).rest_released_at) == ("draft", None)
        assert "RuntimeError" in fresh(testing).error
        frozen.forward(60)
        made = finish(testing)
        assert recipients(made) == messaged(made) == people
        assert (made.status, made.error) == ("completed", "")

    def test_a_process_may_die_at_any_statement(self, people, testing, frozen):
        b_is_better(testing)
        settle(frozen)
        states = set()
        for place in count(1):
            try:
                with dying_at(place):
                    maintain_campaigns(now=clock.now())
            except Killed:
                released = fresh(testing).rest_released_at is not None
                states.add((released, ab_test_row(testing).status, rest_of(testing).status))
                continue
            break
        assert place > 20
        assert states <= {
            (False, "running", "draft"),
            (True, "completed", "scheduled"),
            (True, "completed", "sending"),
        }
        made = finish(testing)
        assert recipients(made) == messaged(made) == people
        assert OperatorAction.objects.filter(action="campaign.release").count() == 1
        assert {path for path, _ in rest_texts(made)} == {SHORT}

    def test_a_person_is_in_one_part(self, people, testing, frozen):
        settle(frozen, 24)
        finish(testing)
        assert recipients(testing) == people  # checks that no one is in two broadcasts
        assert Broadcast.objects.filter(campaign=testing).count() == 2

    def test_a_second_release_does_nothing(self, testing, frozen):
        settle(frozen, 24)
        assert rest.release_rest(testing.pk, now=clock.now()) is True
        assert rest.release_rest(testing.pk, now=clock.now()) is False
        assert OperatorAction.objects.filter(action="campaign.release").count() == 1

    def test_an_audience_that_is_not_placed_is_not_decided(self, people, frozen, monkeypatch):
        monkeypatch.setattr("notifications.features.campaigns.service._INLINE_S", -1.0)
        made = act("launch", make_tested())
        type(made).objects.update(placed_done=False)
        settle(frozen, 24)
        assert rest.release_rest(made.pk, now=clock.now()) is False

    def test_a_part_without_people_is_no_broadcast(self, people, frozen):
        made = act("launch", make_tested(ab_test={"test_percent": 1}))
        go_on()
        assert recipients(made) == people
        settle(frozen, 24)
        assert finish(made).status == "completed"
        assert messaged(made) == people


class Killed(BaseException):
    """No code of the process handles it, as that of a process that is killed."""


@contextmanager
def dying_at(place):
    """The process dies before its statement number `place`."""
    places = count(1)

    def execute(run, *args):
        if next(places) == place:
            raise Killed
        return run(*args)

    with connection.execute_wrapper(execute):
        yield


def _crash(*_args, **_values):
    raise RuntimeError


class TestBesideOtherActions:
    def test_a_pause_over_the_deadline(self, people, testing, frozen):
        act("pause", testing)
        settle(frozen, 30)
        go_on()
        assert rest_of(testing).status == "draft"
        act("resume", testing)
        assert rest_of(testing).status == "draft", "the scheduler decides, not the person"
        made = finish(testing)
        assert (made.status, messaged(made)) == ("completed", people)

    def test_a_pause_while_the_rest_is_sent(self, people, testing, frozen):
        settle(frozen, 24)
        maintain_campaigns(now=clock.now())
        assert rest_of(testing).status == "sending"
        act("pause", testing)
        go_on()
        assert rest_of(testing).status == "paused"
        act("resume", testing)
        assert messaged(finish(testing)) == people

    @pytest.mark.parametrize("hours", [1, 25])
    def test_a_test_that_cannot_be_sent_pauses_the_campaign(self, people, frozen, hours):
        made = act("launch", make_tested(per_minute=1))
        Broadcast.objects.filter(campaign=made, part="test").update(status="paused")
        settle(frozen, hours)
        maintain_campaigns(now=clock.now())
        assert (fresh(made).status, rest_of(made).status) == ("paused", "draft")
        assert fresh(made).error == "one of its broadcasts was paused"
        act("resume", made)
        assert Broadcast.objects.get(campaign=made, part="test").status == "sending"

    def test_a_cancellation_ends_the_test_and_the_rest(self, testing):
        sent = len(messaged(testing))
        made = act("cancel", testing)
        go_on()
        row = ab_test_row(made)
        assert (row.status, row.ended_by) == ("completed", "stopped")
        assert counts(made) == {"sent": sent, "cancelled": 30 - sent}
        assert rest.release_rest(made.pk, now=clock.now()) is False

    def test_the_holdout_is_in_no_part(self, people, frozen):
        made = act("launch", make_tested(holdout_percent=30.0))
        go_on()
        settle(frozen, 24)
        made = finish(made)
        away = held_out(made)
        assert 0 < len(away) < 30
        assert messaged(made) == people - away

    def test_the_limit_a_minute_holds_for_both_parts(self, people, frozen):
        made = act("launch", make_tested(per_minute=24, ab_test={"decide": "deadline"}))
        go_on()
        assert len(messaged(made)) == 2
        ABTestService().stop(identifier=ab_test_row(made).pk, caller=SYSTEM)
        for _ in range(3):
            frozen.forward(5)
            before = len(messaged(made))
            go_on()
            assert rest_of(made).status == "sending"
            assert len(messaged(made)) - before <= 2

    def test_an_approval_binds_the_versions_of_the_variants(self, people, frozen):
        author, reviewer = (make_user(is_staff=True) for _ in range(2))
        made = make_tested(
            caller=staff(author), needs_approval=True, scheduled_at="2030-05-02T12:00:00Z"
        )
        schedule(made, caller=staff(author))
        made = act("approve", made, caller=staff(reviewer))
        assert made.status == "scheduled"
        publish_again(SHORT)
        frozen.forward(24 * HOUR)
        go_on()
        made = fresh(made)
        assert (made.status, made.approval) == ("draft", "requested")
        assert not NotificationABTest.objects.filter(campaign_id=made.pk).exists()
        made = act("approve", made, caller=staff(reviewer))
        assert made.status == "running"
        assert ab_test_row(made).status == "running"

    def test_a_change_of_a_variant_after_the_beginning_changes_nothing(self, testing, frozen):
        version = ab_test_row(testing).settings["versions"]["B"]
        publish_again(SHORT)
        b_is_better(testing)
        settle(frozen)
        made = finish(testing)
        assert rest_of(made).template_version_id == version

    def test_the_test_of_a_campaign_is_changed_by_no_other_call(self, testing):
        key, service = ab_test_row(testing).pk, ABTestService()
        body = ABTestChangeBody(traffic_percentage=90)
        for call in (
            lambda: service.pause(identifier=key, caller=SYSTEM),
            lambda: service.start(identifier=key, caller=SYSTEM),
            lambda: service.change(identifier=key, body=body, caller=SYSTEM),
            lambda: service.delete(identifier=key, caller=SYSTEM),
        ):
            with pytest.raises(Conflict) as caught:
                call()
            assert caught.value.code == "ab_test_status"
        found = service.get(identifier=key, caller=SYSTEM)
        assert (found.campaign, found.window_hours) == (testing.pk, 4)

    def test_a_copy_has_the_plan_and_no_result(self, testing):
        copy = fresh(act_copy(testing))
        assert copy.ab_test == testing.ab_test
        assert copy.rest_released_at is None
        assert act("launch", copy).status == "running"


def act_copy(made):
    found = SERVICE.duplicate(identifier=made.pk, caller=SYSTEM, now=clock.now())
    return type(made).objects.get(pk=found.key)


def publish_again(path):
    old = TemplateVersion.objects.get(template__path=path)
    template = old.template
    old.pk, old.number = None, 2
    old.save()
    template.current_version = old
    template.save()


@pytest.mark.parametrize(
    ("values", "path", "code"),
    [
        ({"variants": [{"name": "A"}, {"name": "A"}]}, "ab_test.variants", "invalid"),
        (
            {"variants": [{"name": "A"}, {"name": "B", "template_path": "no.such"}]},
            "ab_test.variants[1].template_path",
            "unknown_template",
        ),
        (
            {"variants": [{"name": "A"}, {"name": "B", "template_path": "news.mail"}]},
            "ab_test.variants[1].template_path",
            "channel_not_in_template",
        ),
        (
            {"variants": [{"name": "A"}, {"name": "B", "template_path": "news.more"}]},
            "ab_test.variants[1].template_path",
            "missing_variable",
        ),
        ({"window_hours": 24}, "ab_test.window_hours", "invalid"),
        ({"channel": "email"}, "ab_test.channel", "invalid_channel"),
        ({"metric": "conversion_rate"}, "ab_test.goal", "required"),
        ({"metric": "conversion_rate", "goal": "x"}, "ab_test.goal", "unknown_goal"),
        ({"test_percent": 91}, "ab_test", "wrong_type"),
        ({"deadline_hours": 337}, "ab_test", "wrong_type"),
        ({"variants": [{"name": "A"}]}, "ab_test", "wrong_type"),
        ({"unknown": 1}, "ab_test", "wrong_type"),
    ],
)
def test_a_wrong_plan_is_refused(frozen, values, path, code):
    make_students()
    make_news("news.mail", supported_channels=["email"], in_app_template="")
    make_news("news.more", required_variables=["month", "year"])
    with pytest.raises(InvalidRequest) as caught:
        make_tested(ab_test=values)
    assert (path, code) in [(each.path, each.code) for each in caught.value.errors]


def test_local_times_and_a_test_exclude_each_other(frozen):
    make_students()
    local = {"scheduled_at": "2030-05-02T09:00:00", "per_timezone": True}
    with pytest.raises(InvalidRequest) as caught:
        make_tested(**local)
    assert [each.path for each in caught.value.errors] == ["ab_test"]
    assert "the winner is not known when the first time zones are due" in (
        caught.value.errors[0].detail
    )
    made = make_campaign(**local)
    with pytest.raises(InvalidRequest):
        change(made, ab_test=plan())
    tested = make_tested(scheduled_at="2030-05-02T09:00:00Z")
    with pytest.raises(InvalidRequest):
        change(tested, **local)
    assert change(tested, ab_test=None, **local).ab_test is None
