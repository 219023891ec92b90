"""Who enters a series, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.features.lists.joining import leave
from notifications.features.series import rounds
from notifications.features.series.finding import find_people
from notifications.infra import clock
from notifications.models import SeriesEnrollment
from tests.integration.factories import delete_row, make_user
from tests.integration.lists.factories import make_list, put_on
from tests.integration.lists.test_opt_in import ask, press
from tests.integration.series.factories import (
    DAY,
    PATHS,
    act,
    go_on,
    happens,
    mails_of,
    make_series,
    row_of,
    where,
)

pytestmark = pytest.mark.django_db


def people_in(series: Any) -> set[int]:
    return set(SeriesEnrollment.objects.filter(series=series).values_list("user_id", flat=True))


class TestLists:
    def test_who_joins_a_list_gets_the_series(self, frozen: Any) -> None:
        found, person = make_list(), make_user()
        made = make_series(trigger={"on": "list", "list_id": found.pk})
        put_on(found, person)
        put_on(make_list(), make_user())
        assert people_in(made) == {person.pk}
        go_on()
        assert mails_of(made, person) == [PATHS[0]]

    def test_a_list_may_be_named_by_its_id(self, frozen: Any) -> None:
        found = make_list()
        made = make_series(trigger={"on": "list", "list_id": str(found.uuid)})
        assert made.list_id == found.pk

    def test_with_double_opt_in_they_enter_once_they_confirmed(self, frozen: Any) -> None:
        found, person = make_list(double_opt_in=True), make_user()
        made = make_series(trigger={"on": "list", "list_id": found.pk})
        path = ask(found, person)
        assert people_in(made) == set()
        assert press(path) == 200
        assert people_in(made) == {person.pk}
        assert press(path) == 200
        assert SeriesEnrollment.objects.count() == 1

    def test_who_was_on_the_list_before_the_launch_does_not_enter(self, frozen: Any) -> None:
        found, person = make_list(), make_user()
        put_on(found, person)
        made = make_series(trigger={"on": "list", "list_id": found.pk})
        put_on(found, person)
        assert people_in(made) == set()


class TestEvents:
    def test_an_event_makes_its_person_enter_once(self, frozen: Any) -> None:
        person, other = make_user(), make_user()
        made = make_series()
        happens(person)
        happens(other, name="something.else")
        happens(person, person)
        assert people_in(made) == {person.pk}
        assert SeriesEnrollment.objects.count() == 1

    def test_an_event_from_before_the_launch_counts_for_none(self, frozen: Any) -> None:
        person = make_user()
        made = make_series()
        happens(person, at=clock.now() - DAY)
        assert people_in(made) == set()

    def test_drafts_and_ended_series_take_no_one_and_paused_ones_do(self, frozen: Any) -> None:
        person = make_user()
        draft = make_series(live=False)
        paused = act("pause", make_series())
        ended = act("end", make_series())
        happens(person)
        assert (people_in(draft), people_in(ended)) == (set(), set())
        assert people_in(paused) == {person.pk}

    def test_inactive_and_erased_people_do_not_enter(self, frozen: Any) -> None:
        gone, inactive = make_user(), make_user(is_active=False)
        made = make_series()
        happens(gone, inactive)
        delete_row(gone.pk)
        assert people_in(made) == set()

    def test_one_event_may_start_several_series(self, frozen: Any) -> None:
        person = make_user()
        both = make_series(), make_series(name="Other")
        happens(person)
        assert [people_in(made) for made in both] == [{person.pk}, {person.pk}]


class TestReentry:
    def test_a_person_enters_once_ever(self, frozen: Any) -> None:
        person = make_user()
        made = make_series(steps=[{"template_path": PATHS[0]}])
        happens(person)
        go_on()
        frozen.forward(4_000 * 86_400)
        happens(person)
        assert SeriesEnrollment.objects.count() == 1
        assert where(made, person) == ("completed", 1, "")

    def test_or_again_after_some_days(self, frozen: Any) -> None:
        person = make_user()
        made = make_series(steps=[{"template_path": PATHS[0]}], reentry_days=30)
        happens(person)
        go_on()
        frozen.forward(29 * 86_400)
        happens(person)
        assert SeriesEnrollment.objects.count() == 1
        frozen.forward(86_400)
        happens(person)
        go_on()
        assert row_of(made, person).entry == 2
        assert mails_of(made, person) == [PATHS[0]] * 2

    def test_who_is_in_it_does_not_enter_again(self, frozen: Any) -> None:
        person = make_user()
        make_series(reentry_days=1, steps=[{"template_path": PATHS[0], "wait_days": 300}])
        happens(person)
        frozen.forward(100 * 86_400)
        happens(person)
        assert SeriesEnrollment.objects.count() == 1


class TestDates:
    """2030-05-01 12:00 UTC is 2 May in Kiritimati, and 1 May in most zones."""

    TRIGGER = {"on": "date", "attribute": "plan.ends", "offset_days": -3}

    def ends(self, day: str, zone: str = "UTC") -> User:
        return make_user(attributes={"plan": {"ends": day}}, timezone=zone)

    def test_people_enter_on_their_day_in_their_own_zone(self, frozen: Any) -> None:
        steps = [{"template_path": PATHS[0], "at": "09:00"}]
        made = make_series(trigger=self.TRIGGER, steps=steps)
        east, west = (
            self.ends("2030-05-06", zone) for zone in ("Pacific/Kiritimati", "Pacific/Honolulu")
        )
        for day in ("2030-05-05", "2030-05-04", "2030-06-06", "soon", ""):
            self.ends(day)
        make_user(attributes={})
        frozen.now = datetime(2030, 5, 2, 10, 0, tzinfo=UTC)  # 3 May begins in Kiritimati
        go_on()
        go_on()
        assert people_in(made) >= {east.pk, west.pk}
        assert row_of(made, east).due_at == datetime(2030, 5, 2, 19, 0, tzinfo=UTC)
        assert row_of(made, west).due_at == datetime(2030, 5, 3, 19, 0, tzinfo=UTC)

    def test_each_day_is_looked_for_once(self, frozen: Any) -> None:
        made = make_series(trigger=self.TRIGGER)
        go_on()
        made.refresh_from_db()
        assert str(made.scanned_day) == "2030-05-02"
        assert made.scan_at == datetime(2030, 5, 2, 10, 0, tzinfo=UTC)
        late = self.ends("2030-05-05")
        go_on()
        assert late.pk not in people_in(made)
        frozen.forward(86_400)
        go_on()
        made.refresh_from_db()
        assert str(made.scanned_day) == "2030-05-03"

    def test_a_walk_continues_where_it_stopped(self, frozen: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr("notifications.features.series.finding.PAGE", 2)
        people = [self.ends("2030-05-05") for _ in range(7)]
        made = make_series(trigger=self.TRIGGER)
        for _ in range(10):
            find_people(made.pk, now=clock.now(), until=0.0)
        assert people_in(made) == {person.pk for person in people}
        assert SeriesEnrollment.objects.count() == 7

    def test_a_walk_without_hits_stops_in_time_and_continues(
        self, frozen: Any, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("notifications.features.series.finding.PAGE", 2)
        people = [self.ends("2031-01-01") for _ in range(7)]
        made = make_series(trigger=self.TRIGGER)
        begun = str(made.scanned_day)
        for place in (1, 3, 5, 6):
            find_people(made.pk, now=clock.now(), until=0.0)
            made.refresh_from_db()
            assert (str(made.scanned_day), made.scanned_after) == (begun, people[place].pk)
        find_people(made.pk, now=clock.now(), until=0.0)
        made.refresh_from_db()
        assert (str(made.scanned_day), made.scanned_after) == ("2030-05-02", 0)

    def test_a_walk_of_a_day_that_is_left_out_says_nothing_about_the_next(
        self, frozen: Any, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("notifications.features.series.finding.PAGE", 2)
        made = make_series(trigger=self.TRIGGER)
        people = [self.ends("2030-05-16") for _ in range(5)]  # for 13 May
        find_people(made.pk, now=clock.now(), until=0.0)
        made.refresh_from_db()
        assert made.scanned_after == people[1].pk
        frozen.forward(12 * 86_400)
        for _ in range(10):
            find_people(made.pk, now=clock.now(), until=0.0)
        assert people_in(made) == {person.pk for person in people}

    def test_due_mails_are_handed_over_before_people_are_looked_for(
        self, frozen: Any, monkeypatch: Any
    ) -> None:
        done = []
        for name in ("find_people", "hand_over_due"):
            do = partial(lambda name, _key, **_: done.append(name) or 0, name)
            monkeypatch.setattr(rounds, name, do)
        make_series(trigger=self.TRIGGER)
        make_series()
        happens(make_user())
        go_on()
        assert done == ["hand_over_due", "find_people"]

    def test_who_may_enter_again_is_counted_in_days(self, frozen: Any) -> None:
        steps = [{"template_path": PATHS[0]}]
        made = make_series(trigger=self.TRIGGER, steps=steps, reentry_days=30)
        person = self.ends("2030-05-06")  # for 3 May
        frozen.now = datetime(2030, 5, 2, 10, 0, 9, tzinfo=UTC)  # the look is late by 9 seconds
        go_on()
        frozen.now = datetime(2030, 5, 5, 12, 0, tzinfo=UTC)
        go_on()
        assert where(made, person)[0] == "completed"
        person.attributes = {"plan": {"ends": "2030-06-05"}}  # for 2 June
        person.save()
        frozen.now = datetime(2030, 6, 1, 10, 0, tzinfo=UTC)
        go_on()
        assert row_of(made, person).entry == 2

    def test_the_days_of_a_short_outage_are_looked_for(self, frozen: Any) -> None:
        made = make_series(trigger=self.TRIGGER)
        go_on()
        missed = self.ends("2030-05-07")  # for 4 May
        frozen.forward(3 * 86_400)
        go_on()
        assert missed.pk in people_in(made)
        frozen.forward(10 * 86_400)
        go_on()
        made.refresh_from_db()
        assert str(made.scanned_day) == "2030-05-15"


def test_who_left_a_list_and_joins_again_stays_where_they_were(frozen: Any) -> None:
    found, person = make_list(), make_user()
    made = make_series(trigger={"on": "list", "list_id": found.pk})
    put_on(found, person)
    go_on()
    leave(found, person.pk, caller=SYSTEM, source="api")
    put_on(found, person, again=True)
    frozen.forward(timedelta(days=1, minutes=1).total_seconds())
    go_on()
    assert mails_of(made, person) == list(PATHS[:2])
