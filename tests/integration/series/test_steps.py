"""The mails of a series: each once, at its time, unless the person leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import TestCase

from directory.models import Suppression
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import Conflict, InvalidRequest
from notifications.features.analytics.goal_schemas import GoalBody
from notifications.features.analytics.goals import GoalService
from notifications.features.enrolling.entering import enter
from notifications.features.lists.joining import leave
from notifications.features.restoring.settle import hold_open
from notifications.features.series import rounds
from notifications.features.series.handing import hand_over_due
from notifications.infra import clock
from notifications.models import (
    Notification,
    NotificationMessage,
    SandboxMessage,
    SeriesEnrollment,
    SeriesHandover,
    UserNotificationPreference,
)
from tests.integration.factories import delete_row, make_user
from tests.integration.lists.factories import make_list, put_on
from tests.integration.preferences.conftest import work
from tests.integration.series.factories import (
    EVENT,
    PATHS,
    act,
    change,
    fresh,
    go_on,
    happens,
    mails_of,
    make_mail,
    make_mails,
    make_series,
    row_of,
    where,
)

pytestmark = pytest.mark.django_db
ALL = list(PATHS)


class TestTimes:
    def test_each_mail_is_sent_once_at_its_time(self, frozen: Any) -> None:
        person = make_user(timezone="Europe/Paris")
        made = make_series()
        happens(person)
        go_on()
        assert mails_of(made, person) == ALL[:1]
        assert row_of(made, person).due_at == datetime(2030, 5, 2, 12, 0, tzinfo=UTC)
        frozen.forward(86_399)
        go_on()
        assert mails_of(made, person) == ALL[:1]
        frozen.forward(1)
        go_on()
        go_on()
        assert mails_of(made, person) == ALL[:2]
        # Two days later it is 14:00 in Paris, so the mail waits for 09:00 of the day after.
        assert row_of(made, person).due_at == datetime(2030, 5, 5, 7, 0, tzinfo=UTC)
        frozen.now = datetime(2030, 5, 5, 7, 0, tzinfo=UTC)
        go_on()
        assert mails_of(made, person) == ALL
        assert where(made, person) == ("completed", 3, "")
        while work():
            pass
        assert SandboxMessage.objects.count() == 3

    def test_mails_without_a_wait_are_sent_in_one_round(self, frozen: Any) -> None:
        person = make_user()
        made = make_series(steps=[{"template_path": path} for path in PATHS])
        happens(person)
        go_on()
        assert mails_of(made, person) == ALL

    def test_a_first_wait_counts_from_the_entry(self, frozen: Any) -> None:
        person = make_user()
        made = make_series(steps=[{"template_path": PATHS[0], "wait_minutes": 30}])
        happens(person)
        frozen.forward(60)
        go_on()
        assert row_of(made, person).due_at == datetime(2030, 5, 1, 12, 30, tzinfo=UTC)
        assert mails_of(made, person) == []

    def test_the_zone_of_the_preferences_comes_first(self, frozen: Any) -> None:
        person = make_user(timezone="Asia/Tokyo")
        UserNotificationPreference.objects.create(user=person, timezone="America/New_York")
        made = make_series(steps=[{"template_path": PATHS[0], "at": "09:00"}])
        happens(person)
        go_on()
        assert row_of(made, person).due_at == datetime(2030, 5, 1, 13, 0, tzinfo=UTC)

    def test_after_a_long_pause_the_waits_between_mails_hold(self, frozen: Any) -> None:
        person = make_user(timezone="UTC")
        made = make_series(
            steps=[{"template_path": PATHS[0]}, {"template_path": PATHS[1], "wait_days": 1}]
        )
        act("pause", made)
        happens(person)
        frozen.forward(7 * 86_400)
        assert go_on()["stepped"] == 0
        act("resume", made)
        go_on()
        assert mails_of(made, person) == ALL[:1]
        frozen.forward(86_400)
        go_on()
        assert mails_of(made, person) == ALL[:2]


class TestExits:
    def test_who_leaves_the_list_gets_nothing_more(self, frozen: Any) -> None:
        found, person = make_list(), make_user()
        made = make_series(trigger={"on": "list", "list_id": found.pk})
        put_on(found, person)
        go_on()
        leave(found, person.pk, caller=SYSTEM, source="api")
        frozen.forward(86_400)
        go_on()
        assert mails_of(made, person) == ALL[:1]
        assert where(made, person) == ("exited", 1, "unsubscribed")

    def test_a_mail_of_a_list_has_the_link_that_leaves_it(self, frozen: Any) -> None:
        found, person = make_list(), make_user()
        make_mail(PATHS[0], email_body_template="Leave: {{ unsubscribe_url }}")
        make_series(trigger={"on": "list", "list_id": found.pk})
        put_on(found, person)
        go_on()
        while work():
            pass
        assert "/unsubscribe/" in SandboxMessage.objects.get().content["body"]

    @pytest.mark.parametrize(
        "choice",
        [{"notifications_enabled": False}, {"email_enabled": False}],
    )
    def test_who_closes_the_mails_leaves(self, frozen: Any, choice: dict[str, Any]) -> None:
        person = make_user()
        made = make_series()
        happens(person)
        go_on()
        UserNotificationPreference.objects.create(user=person, **choice)
        frozen.forward(86_400)
        go_on()
        assert where(made, person) == ("exited", 1, "unsubscribed")

    def test_who_withdraws_marketing_leaves_a_series_of_marketing(self, frozen: Any) -> None:
        person = make_user()
        made = make_series(category="marketing")
        happens(person)
        go_on()
        assert where(made, person) == ("exited", 0, "unsubscribed")

    def test_who_reaches_the_goal_leaves(self, frozen: Any) -> None:
        GoalService().create(body=GoalBody(name="Bought", event="bought"), caller=SYSTEM)
        person, other, early = make_user(), make_user(), make_user()
        made = make_series(goal="Bought")
        happens(early, name="bought")
        frozen.forward(60)
        happens(person, other, early)
        go_on()
        happens(person, name="bought")
        frozen.forward(86_400)
        go_on()
        assert where(made, person) == ("exited", 1, "goal_reached")
        assert where(made, other) == where(made, early) == ("waiting", 2, "")
        assert mails_of(made, person) == ALL[:1]

    def test_the_goal_counts_from_the_trigger_though_it_is_reported_later(
        self, frozen: Any
    ) -> None:
        GoalService().create(body=GoalBody(name="Bought", event="bought"), caller=SYSTEM)
        person, early = make_user(), make_user()
        made = make_series(goal="Bought")
        began = clock.now()
        frozen.forward(7_200)
        happens(person, name="bought", at=began + timedelta(minutes=30))
        happens(early, name="bought", at=began + timedelta(minutes=5))
        happens(person, early, at=began + timedelta(minutes=10))
        go_on()
        assert where(made, person) == ("exited", 0, "goal_reached")
        assert where(made, early) == ("waiting", 1, "")
        assert mails_of(made, person) == []

    def test_the_event_of_the_trigger_reaches_no_goal(self, frozen: Any) -> None:
        GoalService().create(body=GoalBody(name="Again", event=EVENT), caller=SYSTEM)
        person, ahead = make_user(), make_user()
        made = make_series(goal="Again")
        happens(person)
        happens(ahead, at=clock.now() + timedelta(seconds=30))
        go_on()
        assert mails_of(made, person) == mails_of(made, ahead) == ALL[:1]
        frozen.forward(3_600)
        happens(person)
        frozen.forward(86_400)
        go_on()
        assert where(made, person) == ("exited", 1, "goal_reached")
        assert where(made, ahead) == ("waiting", 2, "")

    def test_inactive_people_and_suppressed_addresses_leave(self, frozen: Any) -> None:
        inactive, blocked = make_user(), make_user(email="blocked@example.com")
        made = make_series()
        happens(inactive, blocked)
        inactive.is_active = False
        inactive.save()
        Suppression.objects.create(kind="email", address="blocked@example.com", reason="complaint")
        go_on()
        assert where(made, inactive) == ("exited", 0, "inactive")
        assert where(made, blocked) == ("exited", 0, "blocked")
        assert not Notification.objects.filter(source=made.source).exists()

    def test_erased_people_are_in_no_series(self, frozen: Any) -> None:
        person = make_user()
        happens_in = make_series()
        happens(person)
        go_on()
        delete_row(person.pk)
        frozen.forward(86_400)
        go_on()
        assert not SeriesEnrollment.objects.filter(series=happens_in).exists()
        assert not SeriesHandover.objects.exists()

    def test_the_end_of_a_series_ends_all_that_waits(self, frozen: Any) -> None:
        person, done = make_user(), make_user()
        made = make_series()
        happens(person)
        go_on()
        act("end", made)
        assert go_on()["ended"] == 1
        assert where(made, person) == ("exited", 1, "series_ended")
        frozen.forward(86_400)
        go_on()
        assert mails_of(made, person) == ALL[:1]
        assert fresh(made).cleared
        happens(done)
        assert not SeriesEnrollment.objects.filter(user=done).exists()


def test_who_enters_long_after_the_end_does_not_wait_for_ever(frozen: Any) -> None:
    person = make_user()
    made = make_series()
    act("end", made)
    frozen.forward(3_600)
    go_on()
    assert fresh(made).cleared
    # A transaction that read the series before its end, and ends an hour later.
    with TestCase.captureOnCommitCallbacks(execute=True):
        made.status = "live"
        enter(made, {person.pk: clock.now()}, now=clock.now())
    assert not fresh(made).cleared
    go_on()
    assert where(made, person) == ("exited", 0, "series_ended")
    assert fresh(made).cleared


def test_the_steps_of_a_series_change_a_hundred_times_at_most(
    frozen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifications.features.series.service.MOST_VERSIONS", 3)
    made = make_series()
    for wait in (2, 3):
        made = change(made, steps=[{"template_path": PATHS[0], "wait_days": wait}])
    assert made.version == 3
    with pytest.raises(Conflict) as caught:
        change(made, steps=[{"template_path": PATHS[0], "wait_days": 4}])
    assert caught.value.code == "too_many"
    assert "end it, write another" in str(caught.value)
    assert change(made, name="Other").version == 3


def test_the_holdout_gets_nothing_and_is_stable(frozen: Any) -> None:
    people = [make_user() for _ in range(40)]
    made = make_series(holdout_percent=50)
    happens(*people)
    frozen.forward(30 * 86_400)
    for _ in range(3):
        go_on()
        frozen.forward(5 * 86_400)
    held = {person.pk for person in people if made.holds_out(person.pk)}
    rows = SeriesEnrollment.objects.filter(series=made)
    assert set(rows.filter(state="held_out").values_list("user_id", flat=True)) == held
    assert 5 < len(held) < 35
    sent = Notification.objects.filter(source=made.source).values_list("user_id", flat=True)
    assert set(sent) == {person.pk for person in people} - held


class TestOnce:
    def test_a_step_that_was_handed_over_is_not_handed_over_again(self, frozen: Any) -> None:
        person = make_user()
        made = make_series()
        happens(person)
        go_on()
        # As if the row of the person had been restored to before the hand-over.
        SeriesEnrollment.objects.update(position=0, due_at=clock.now())
        go_on()
        assert mails_of(made, person) == ALL[:1]
        assert where(made, person) == ("waiting", 1, "")

    def test_a_failure_leaves_everything_as_it_was(self, frozen: Any, monkeypatch: Any) -> None:
        person = make_user()
        made = make_series()
        happens(person)
        target = "notifications.features.series.handing.SeriesStepCount.objects.add"
        with monkeypatch.context() as patched:
            patched.setattr(target, lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                hand_over_due(made.pk, now=clock.now(), until=0.0)
        assert mails_of(made, person) == []
        assert not NotificationMessage.objects.exists()
        go_on()
        assert mails_of(made, person) == ALL[:1]


class TestVersions:
    def test_people_go_on_with_the_steps_that_they_entered_with(self, frozen: Any) -> None:
        first, second = make_user(), make_user()
        made = make_series()
        happens(first)
        go_on()
        made = change(made, steps=[{"template_path": PATHS[2]}])
        assert made.version == 2
        happens(second)
        go_on()
        frozen.forward(86_400)
        go_on()
        assert mails_of(made, first) == ALL[:2]
        assert mails_of(made, second) == [PATHS[2]]

    def test_a_later_mail_has_the_version_that_is_published_then(self, frozen: Any) -> None:
        person = make_user()
        template = make_mail("welcome.same")
        step = {"template_path": "welcome.same"}
        made = make_series(steps=[step, {**step, "wait_days": 1}])
        happens(person)
        go_on()
        first = template.current_version_id
        template.email_body_template = "Another text"
        template.save()
        template.refresh_from_db()
        frozen.forward(86_400)
        go_on()
        sent = Notification.objects.filter(source=made.source).order_by("pk")
        versions = list(sent.values_list("template_version_id", flat=True))
        assert versions == [first, template.current_version_id]
        assert len(set(versions)) == 2

    def test_a_series_whose_template_is_gone_is_paused_with_the_reason(self, frozen: Any) -> None:
        make_mails()
        template = make_mail("welcome.gone")
        person = make_user()
        made = make_series(steps=[{"template_path": "welcome.gone"}])
        happens(person)
        template.is_active = False
        template.save()
        go_on()
        made = fresh(made)
        assert made.status == "paused"
        assert "welcome.gone" in made.error
        template.is_active = True
        template.save()
        act("resume", made)
        go_on()
        assert mails_of(made, person) == ["welcome.gone"]

    def test_it_resumes_only_with_the_steps_of_all_who_wait(self, frozen: Any) -> None:
        make_mails()
        gone, passed = make_mail("welcome.gone"), make_mail("welcome.passed")
        steps = [{"template_path": each.path} for each in (passed, gone)]
        steps[1]["wait_days"] = 1
        made = make_series(steps=steps)
        person = make_user()
        happens(person)
        go_on()
        change(made, steps=[{"template_path": PATHS[0]}])
        act("pause", made)
        for template in (gone, passed):
            template.is_active = False
            template.save()
        with pytest.raises(InvalidRequest) as caught:
            act("resume", made)
        assert [(each.path, each.code) for each in caught.value.errors] == [
            ("steps[1].template_path", "unknown_template")
        ]
        gone.is_active = True
        gone.save()
        act("resume", made)  # all have passed the other one
        frozen.forward(86_400)
        go_on()
        assert mails_of(made, person) == ["welcome.passed", "welcome.gone"]

    def test_one_that_fails_shows_it_and_is_tried_every_quarter_of_an_hour(
        self, frozen: Any, monkeypatch: Any
    ) -> None:
        person = make_user()
        made = make_series()
        happens(person)

        def fail(*_: Any, **__: Any) -> int:
            raise OSError

        with monkeypatch.context() as patched:
            patched.setattr(rounds, "hand_over_due", fail)
            for tries, seconds in ((1, 60), (2, 300), (3, 900), (4, 0)):
                go_on()
                found = fresh(made).error
                assert found.startswith(f"attempt {tries} failed: OSError at "), found
                frozen.forward(seconds)
        go_on()
        assert mails_of(made, person) == [], "it waits for its next attempt"
        frozen.forward(900)
        go_on()
        assert mails_of(made, person) == ALL[:1]
        assert (fresh(made).status, fresh(made).error) == ("live", "")


def test_a_restored_backup_pauses_the_series_in_which_a_mail_is_due(frozen: Any) -> None:
    due, later = make_series(), make_series(trigger={"on": "event", "event": "other"})
    happens(make_user())
    happens(make_user(), name="other")
    go_on()
    frozen.forward(60)
    happens(make_user())
    assert hold_open(now=clock.now()).series == 1
    assert (fresh(due).status, fresh(later).status) == ("paused", "live")


def test_a_restored_backup_does_not_look_for_the_dates_since_it_again(frozen: Any) -> None:
    trigger = {"on": "date", "attribute": "ends"}
    live = make_series(trigger=trigger)
    paused = act("pause", make_series(trigger=trigger))
    go_on()
    make_user(attributes={"ends": "2030-05-03"})
    frozen.forward(2 * 86_400)  # the service sent the mails of these days
    assert hold_open(now=clock.now()).series == 1
    assert "may have been sent since" in fresh(live).error
    for each in (live, paused):
        act("resume", each)
    go_on()
    go_on()
    assert not SeriesEnrollment.objects.exists()
    for each in (live, paused):
        assert str(fresh(each).scanned_day) == "2030-05-04"
    new = make_user(attributes={"ends": "2030-05-05"})
    frozen.forward(86_400)
    go_on()
    assert set(SeriesEnrollment.objects.values_list("user_id", flat=True)) == {new.pk}
