"""Two processes at one series at the same moment. On PostgreSQL, whose locks are of rows."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from directory.models import User
from notifications.domain.errors import Conflict
from notifications.features.enrolling.entering import enter_by_list
from notifications.features.series import handing
from notifications.features.series.handing import hand_over_due
from notifications.features.series.service import locked_series
from notifications.infra import clock
from notifications.models import MailSeries, Notification, SeriesEnrollment, SeriesHandover
from tests.integration.campaigns.factories import staff
from tests.integration.factories import make_user
from tests.integration.lists.factories import make_list, put_on
from tests.integration.races import PATIENCE_S, Other, other, wait_until_blocked_or_done
from tests.integration.series.factories import (
    KEY,
    SERVICE,
    act,
    change,
    happens,
    make_series,
)

__all__ = ["other"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer"),
]


@pytest.fixture
def made() -> MailSeries:
    return make_series()


@pytest.fixture
def people(made: MailSeries) -> list[User]:
    found = [make_user() for _ in range(6)]
    happens(*found)
    return found


def step(made: MailSeries) -> int:
    return hand_over_due(made.pk, now=clock.now(), until=0.0)


def sent(made: MailSeries) -> int:
    return Notification.objects.filter(source=made.source).count()


def test_a_second_process_leaves_a_series_to_the_first(
    made: MailSeries, people: list[User], other: Other
) -> None:
    with transaction.atomic():
        assert step(made) == len(people)
        work = other.start(lambda: step(made))
        wait_until_blocked_or_done(work)
        assert work.result(PATIENCE_S) == 0
    assert sent(made) == SeriesHandover.objects.count() == len(people)


def test_two_processes_that_take_turns_send_each_mail_once(
    made: MailSeries, people: list[User], other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "AT_ONCE", 2)
    for _ in range(3):
        work = other.start(lambda: step(made))
        step(made)
        work.result(PATIENCE_S)
    while step(made):
        pass
    assert sent(made) == SeriesHandover.objects.count() == len(people)
    assert set(SeriesEnrollment.objects.values_list("position", flat=True)) == {1}


def test_a_pause_waits_for_what_is_handed_over_and_nothing_follows(
    made: MailSeries, people: list[User], other: Other
) -> None:
    with transaction.atomic():
        step(made)
        work = other.start(lambda: SERVICE.pause(identifier=made.pk, caller=KEY, now=clock.now()))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.result(PATIENCE_S).status == "paused"
    SeriesEnrollment.objects.update(due_at=clock.now())
    assert step(made) == 0


def test_a_step_that_comes_during_a_pause_is_not_handed_over(
    made: MailSeries, people: list[User], other: Other
) -> None:
    with transaction.atomic():
        locked_series(made.pk)
        MailSeries.objects.filter(pk=made.pk).update(status="paused")
        work = other.start(lambda: step(made))
        wait_until_blocked_or_done(work)
    assert work.result(PATIENCE_S) == 0
    assert sent(made) == 0


def test_two_events_of_one_person_make_them_enter_once(made: MailSeries, other: Other) -> None:
    person = make_user()
    with transaction.atomic():
        happens(person)
        work = other.start(lambda: happens(person))
        wait_until_blocked_or_done(work)
    assert work.exception(PATIENCE_S) is None
    assert SeriesEnrollment.objects.filter(user=person).count() == 1


def test_two_people_in_opposite_orders_do_not_wait_for_each_other(
    made: MailSeries, other: Other
) -> None:
    make_series(trigger={"on": "event", "event": "second"})
    first, second = make_user(), make_user()
    work = other.start(lambda: (happens(second), happens(first, name="second")))
    happens(first)
    happens(second, name="second")
    assert work.exception(PATIENCE_S) is None
    assert SeriesEnrollment.objects.count() == 4


def test_who_joins_twice_at_once_enters_once(other: Other) -> None:
    found, person = make_list(), make_user()
    make_series(trigger={"on": "list", "list_id": found.pk})
    with transaction.atomic():
        put_on(found, person)
        work = other.start(lambda: enter_by_list(found.pk, [person.pk], now=clock.now()))
        wait_until_blocked_or_done(work)
    assert work.exception(PATIENCE_S) is None
    assert SeriesEnrollment.objects.count() == 1


def test_two_launches_launch_it_once(other: Other) -> None:
    draft = make_series(live=False)
    with transaction.atomic():
        act("launch", draft)
        work = other.start(lambda: SERVICE.launch(identifier=draft.pk, caller=KEY, now=clock.now()))
        wait_until_blocked_or_done(work)
    assert isinstance(work.exception(PATIENCE_S), Conflict)


def test_who_enters_while_a_series_ends_does_not_wait_for_ever(
    made: MailSeries, other: Other
) -> None:
    from notifications.features.series.rounds import clear_ended

    person = make_user()
    with transaction.atomic():
        happens(person)
        work = other.start(lambda: SERVICE.end(identifier=made.pk, caller=KEY, now=clock.now()))
        wait_until_blocked_or_done(work)
        assert work.result(PATIENCE_S).status == "ended"
    clear_ended(made.pk, now=clock.now(), until=clock.monotonic() + 5)
    row = SeriesEnrollment.objects.get(user=person)
    assert (row.state, row.due_at) == ("exited", None)


def test_an_approval_that_comes_during_a_change_releases_nothing(other: Other) -> None:
    author, reviewer = (make_user(is_staff=True, role="teacher") for _ in range(2))
    draft = make_series(live=False, caller=staff(author), needs_approval=True)
    act("launch", draft, caller=staff(author))
    with transaction.atomic():
        change(draft, caller=staff(author), name="Hello")
        work = other.start(
            lambda: SERVICE.approve(identifier=draft.pk, caller=staff(reviewer), now=clock.now())
        )
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert isinstance(work.exception(PATIENCE_S), Conflict)
    assert MailSeries.objects.get().status == "draft"


def test_two_approvals_launch_it_once(other: Other) -> None:
    author, *both = (make_user(is_staff=True, role="teacher") for _ in range(3))
    draft = make_series(live=False, caller=staff(author), needs_approval=True)
    act("launch", draft, caller=staff(author))
    with transaction.atomic():
        act("approve", draft, caller=staff(both[0]))
        work = other.start(
            lambda: SERVICE.approve(identifier=draft.pk, caller=staff(both[1]), now=clock.now())
        )
        wait_until_blocked_or_done(work)
    assert isinstance(work.exception(PATIENCE_S), Conflict)
    assert MailSeries.objects.get().approved_by_id == both[0].pk
