"""Which hour and channel the model chooses, and who is in the holdout."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from notifications.domain.engagement import CLICK_HUMAN, CLICK_MACHINE, OPEN_HUMAN
from notifications.domain.experiments.labels import is_held_out, place_of
from notifications.domain.learning.choice import (
    LearningPlace,
    LearningRule,
    choose_channels,
    choose_time,
)
from notifications.domain.learning.counts import (
    NONE,
    HourCounts,
    add_cells,
    engagement_change,
    since,
)
from notifications.domain.learning.hours import (
    first_period,
    hour_of_week,
    hours_within,
    name_of_hour,
    period_of,
)
from notifications.domain.learning.labels import labels_with, learning_label
from notifications.domain.learning.model import Model, Posterior

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
"""A Wednesday: hour 60 of the week."""
RULE = LearningRule("campaign", 10.0, 5)
DAY = hours_within(NOON, UTC, 24)
P = LearningPlace


def clicked(**hours: tuple[int, int]) -> dict[int, HourCounts]:
    """h60=(8, 6): of eight messages in hour 60, six were clicked."""
    return {int(name[1:]): HourCounts(all_, some, some) for name, (all_, some) in hours.items()}


def learner(rule: LearningRule = RULE) -> int:
    """A person who is not in the holdout."""
    return next(p for p in range(1, 99) if rule.place("time", p, 99) is P.LEARNED)


def test_the_posterior_mean_is_that_of_a_beta_distribution():
    assert Posterior(8, 6, 0.2).mean == pytest.approx((10 * 0.2 + 6) / 18)
    assert Posterior(0, 0, 0.2).mean == pytest.approx(0.2)


def test_the_prior_of_an_hour_is_drawn_to_the_rate_of_all_hours():
    model = Model({}, clicked(h60=(1_000, 200), h61=(1_000, 100)))
    overall = 301 / 2_020
    assert model.overall() == pytest.approx(overall)
    assert model.prior(60) == pytest.approx((200 * overall + 200) / 1_200)
    assert model.prior(5) == pytest.approx(overall)


def test_opens_count_only_where_they_are_believed():
    own = {60: HourCounts(handed=10, clicked=1, engaged=7)}
    assert Model(own, {}).at(60).succeeded == 1
    assert Model(own, {}, with_opens=True).at(60).succeeded == 7


def test_counts_below_zero_and_engagement_without_a_hand_over_are_no_rates():
    own = {1: HourCounts(-1, -1, -1), 2: HourCounts(0, 3, 3)}
    assert Model(own, {}).at(1) == Posterior(0, 0, Model(own, {}).prior(1))
    assert Model(own, {}).at(2) == Posterior(0, 0, Model(own, {}).prior(2))
    assert Model({2: HourCounts(2, 3, 3)}, {}).at(2).succeeded == 2


def test_the_best_hour_of_the_window_is_chosen_and_the_earlier_of_equals():
    model = Model(clicked(h66=(8, 6), h67=(8, 6), h10=(9, 9)), {})
    found = choose_time(RULE, model, learner(), DAY, UTC)
    assert (found.place, found.hour, found.due_at) == (P.LEARNED, 66, NOON + timedelta(hours=6))
    assert (found.first_hour, found.known) == (60, 25)
    assert found.evidence.succeeded == 6


def test_an_hour_at_which_little_was_sent_is_not_chosen():
    evening = hours_within(NOON + timedelta(hours=7), UTC, 24)
    ignored = Model(clicked(h81=(30, 0), h82=(1, 1)), {})
    found = choose_time(RULE, ignored, learner(), evening, UTC)
    assert (found.place, found.due_at) == (P.LEARNED, evening[0])
    taught = Model(clicked(h81=(30, 1)), clicked(h84=(200, 99), h83=(199, 150), h10=(2_000, 90)))
    assert choose_time(RULE, taught, learner(), evening, UTC).hour == 84


def test_the_night_is_left_out_where_the_window_has_a_day():
    late = hours_within(NOON + timedelta(hours=10), UTC, 24)
    night = Model(clicked(h72=(9, 9), h80=(9, 1)), {})
    found = choose_time(RULE, night, learner(), late, UTC)
    assert (found.hour, found.first_hour) == (80, 80)
    widened = replace(RULE, at_night=True)
    assert choose_time(widened, night, learner(), late, UTC).hour == 72
    held = [choose_time(RULE, night, person, late, UTC) for person in range(3_000)]
    assert {f.hour % 24 for f in held if f.place is P.HOLDOUT} == set(range(8, 21))
    unknown = choose_time(RULE, Model({}, {}), learner(), late, UTC)
    assert (unknown.place, unknown.due_at) == (P.START, late[0])
    assert choose_time(RULE, night, learner(), late[:5], UTC).due_at == late[0]


def test_a_channel_that_a_person_hardly_got_passes_no_other():
    models = {
        "email": Model(clicked(h1=(100, 2)), {}),
        "sms": Model(clicked(h1=(2, 2)), clicked(h1=(900, 800))),
        "in_app": Model(clicked(h1=(9, 8)), {}),
    }
    person = next(p for p in range(99) if RULE.place("channel", p, 99) is P.LEARNED)
    found = choose_channels(RULE, models, person, ("email", "sms", "in_app"))
    assert found.channels == ("in_app", "email", "sms")
    assert choose_channels(RULE, models, person, ("email", "sms")).channels == ("email", "sms")


def test_a_channel_of_which_no_engagement_is_reported_is_not_taken_for_ignored():
    silent = Model(clicked(h66=(50, 0)), clicked(h66=(5_000, 0)))
    models = {
        "push": silent,
        "email": Model(clicked(h1=(9, 1)), {}),
        "in_app": Model(clicked(h1=(9, 8)), {}),
    }
    person = next(p for p in range(99) if RULE.place("channel", p, 99) is P.LEARNED)
    found = choose_channels(RULE, models, person, ("push", "email", "in_app"))
    assert found.channels == ("push", "in_app", "email")
    both = choose_channels(RULE, {"push": silent, "sms": silent}, person, ("push", "sms"))
    assert (both.place, both.channels) == (P.START, ("push", "sms"))
    when = choose_time(RULE, silent, learner(), DAY, UTC)
    assert (when.place, when.known) == (P.START, 0)
    opened = Model({66: HourCounts(50, 0, 9)}, {})
    assert not opened.is_reported
    assert Model(opened.own, {}, with_opens=True).is_reported


def test_without_enough_messages_it_is_the_start_of_the_window():
    model = Model(clicked(h66=(4, 4)), clicked(h71=(900, 800)))
    found = choose_time(RULE, model, learner(), DAY, UTC)
    assert (found.place, found.due_at, found.known) == (P.START, NOON, 4)


def test_the_holdout_is_a_share_and_its_hour_does_not_depend_on_the_counts():
    people = range(5_000)
    model = Model(clicked(h66=(8, 6)), {})
    other = Model(clicked(h65=(9, 9)), {})
    found = [choose_time(RULE, model, person, DAY, UTC) for person in people]
    places = Counter(each.place for each in found)
    assert 400 < places[P.HOLDOUT] < 600
    held = [p for p, each in zip(people, found, strict=True) if each.place is P.HOLDOUT]
    assert [found[p].due_at for p in held] == [
        choose_time(RULE, other, p, DAY, UTC).due_at for p in held
    ]
    hours = Counter(found[p].hour for p in held)
    assert {hour % 24 for hour in hours} == set(range(8, 21))
    assert max(hours.values()) < 75
    assert {each.hour for each in found if each.place is P.LEARNED} == {66}


def test_the_holdouts_of_time_and_channel_are_independent():
    both = Counter(
        (RULE.place("time", p, 9) is P.HOLDOUT, RULE.place("channel", p, 9) is P.HOLDOUT)
        for p in range(20_000)
    )
    assert 120 < both[True, True] < 290


def test_the_best_channel_comes_first_and_ties_keep_the_given_order():
    models = {
        "email": Model(clicked(h1=(9, 1)), {}),
        "telegram": Model(clicked(h1=(9, 5)), {}),
        "push": Model(clicked(h1=(9, 1)), {}),
    }
    names = ("email", "push", "telegram")
    person = next(p for p in range(99) if RULE.place("channel", p, 99) is P.LEARNED)
    found = choose_channels(RULE, models, person, names)
    assert found.channels == ("telegram", "email", "push")
    assert [each.succeeded for each in found.evidence] == [5, 1, 1]
    held = next(p for p in range(99) if RULE.place("channel", p, 99) is P.HOLDOUT)
    assert choose_channels(RULE, models, held, names).channels == names
    unknown = choose_channels(RULE, dict.fromkeys(names, Model({}, {})), person, names)
    assert (unknown.place, unknown.channels) == (P.START, names)


def test_hours_of_a_window_are_full_hours_of_the_local_clock():
    start = datetime(2030, 5, 1, 12, 20, 30, 5, tzinfo=UTC)
    found = hours_within(start, ZoneInfo("Asia/Kathmandu"), 3)
    assert found == [
        start,
        datetime(2030, 5, 1, 13, 15, tzinfo=UTC),
        datetime(2030, 5, 1, 14, 15, tzinfo=UTC),
        datetime(2030, 5, 1, 15, 15, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("day", "hours", "names"),
    [
        (datetime(2030, 3, 31), 3, ["00:00", "01:00", "03:00"]),
        (datetime(2030, 10, 27), 4, ["00:00", "01:00", "02:00", "02:00"]),
    ],
)
def test_the_hours_of_a_day_on_which_clocks_change(day, hours, names):
    zone = ZoneInfo("Europe/Paris")
    start = day.replace(tzinfo=zone).astimezone(UTC)
    found = [f"{at.astimezone(zone):%H:%M}" for at in hours_within(start, zone, hours)]
    assert found == names


def test_a_clock_that_changes_by_half_an_hour():
    zone = ZoneInfo("Australia/Lord_Howe")
    start = datetime(2030, 4, 6, 14, 0, tzinfo=UTC)
    found = [at.astimezone(zone) for at in hours_within(start, zone, 6)]
    walls = [f"{at:%H:%M}" for at in found]  # 02:00 becomes 01:30
    assert walls == ["01:00", "01:30", "02:00", "03:00", "04:00", "05:00", "06:00"]


def test_hours_and_periods():
    assert hour_of_week(NOON, UTC) == 60
    assert hour_of_week(NOON, ZoneInfo("Asia/Tokyo")) == 69
    assert name_of_hour(60) == "Wednesday 12:00"
    assert first_period(NOON, 168) == period_of(NOON) - 6
    assert period_of(NOON + timedelta(days=28)) == period_of(NOON) + 1


def test_cells_are_sums_and_empty_ones_go():
    cells = {}
    add_cells(cells, {(1, 5): HourCounts(clicked=1, engaged=1)})
    add_cells(cells, {(1, 5): HourCounts(handed=1), (0, 5): HourCounts(handed=2)})
    assert cells == {(1, 5): HourCounts(1, 1, 1), (0, 5): HourCounts(2, 0, 0)}
    assert since(cells, 1) == {(1, 5): HourCounts(1, 1, 1)}
    add_cells(cells, {(1, 5): HourCounts(-1, -1, -1)})
    assert cells == {(0, 5): HourCounts(2, 0, 0)}


@pytest.mark.parametrize(
    ("flags", "counted", "expected"),
    [
        (CLICK_HUMAN, 0, HourCounts(0, 1, 1)),
        (CLICK_HUMAN | OPEN_HUMAN, OPEN_HUMAN, HourCounts(0, 1, 0)),
        (OPEN_HUMAN, CLICK_HUMAN, HourCounts(0, -1, 0)),
        (0, OPEN_HUMAN, HourCounts(0, 0, -1)),
        (CLICK_MACHINE, 0, NONE),
    ],
)
def test_bits_of_people_change_the_counts(flags, counted, expected):
    assert engagement_change(flags, counted) == expected


def test_labels_name_both_choices_and_no_place_in_a_test():
    assert learning_label("12", P.LEARNED, None) == "learn:12:l-"
    assert learning_label("12", None, None) is None
    assert set(labels_with("12", channel=P.HOLDOUT)) == {
        "learn:12:lh",
        "learn:12:hh",
        "learn:12:sh",
        "learn:12:-h",
    }
    for label in labels_with("12", time=P.HOLDOUT):
        assert place_of(label) is None
        assert not is_held_out(label)
        assert len(label) <= 50
