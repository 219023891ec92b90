"""Learned hours in a series: who gets a mail when, what is refused, and what the report says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.domain.engagement import CLICK_HUMAN, quarter_of
from notifications.domain.errors import InvalidRequest
from notifications.features.series.reading import series_report
from notifications.models import (
    MailSeries,
    Notification,
    NotificationAnalytics,
    NotificationMessage,
    UserNotificationPreference,
)
from notifications.services import NotificationService
from tests.integration.factories import make_user
from tests.integration.learning.conftest import known, learning, noon, sure
from tests.integration.preferences.conftest import work
from tests.integration.series.factories import (
    PATHS,
    act,
    change,
    fresh,
    go_on,
    happens,
    mails_of,
    make_series,
    row_of,
)

__all__ = ["learning", "sure"]
pytestmark = pytest.mark.django_db
FOUR = {64: (9, 9)}
"""Someone who clicks what comes at 16:00 of a Wednesday; noon of that day is hour 60."""


def learns(path: str = PATHS[0], **values: Any) -> dict[str, Any]:
    return {"template_path": path, "send_time": "learned", **values}


def entered(made: MailSeries, count: int = 1, hours: Any = FOUR, **values: Any) -> list[User]:
    """People who enter a series now, with what is known of them."""
    found = [make_user(**values) for _ in range(count)]
    for person in found:
        known(person, "email", hours)
    happens(*found)
    go_on()
    return found


def due(made: MailSeries, person: User) -> datetime | None:
    return row_of(made, person).due_at


def variants(made: MailSeries) -> dict[str | None, int]:
    rows = Notification.objects.filter(source=made.source).order_by("pk")
    found: dict[str | None, int] = {}
    for label in rows.values_list("variant", flat=True):
        found[label] = found.get(label, 0) + 1
    return found


def test_a_mail_waits_for_the_learned_hour_and_the_next_wait_counts_from_it(
    sure: None, frozen: Any
) -> None:
    made = make_series(steps=[learns(), {"template_path": PATHS[1], "wait_days": 1}])
    (person,) = entered(made)
    assert (due(made, person), mails_of(made, person)) == (noon(hours=4), [])
    frozen.forward(4 * 3_600 + 60)
    go_on()
    assert mails_of(made, person) == [PATHS[0]]
    assert due(made, person) == noon(hours=28)
    assert variants(made) == {f"learn:s{made.pk}.1.0:l-": 1}
    row = Notification.objects.get(source=made.source)
    found = NotificationService().explain(identifier=row.uuid, caller=SYSTEM).learning
    assert found is not None
    assert found.send_time is not None
    assert (found.send_time.place, found.send_time.hour) == ("learned", "Wednesday 16:00")
    assert "of 9 messages in this hour the person engaged with 9" in found.explanation
    frozen.forward(86_400)
    go_on()
    assert mails_of(made, person) == list(PATHS[:2])
    assert variants(made)[None] == 1


def test_of_whom_too_little_is_known_gets_it_at_once(learning: None, frozen: Any) -> None:
    made = make_series(steps=[learns()])
    (person,) = entered(made, hours={64: (4, 4)})
    assert mails_of(made, person) == [PATHS[0]]
    assert variants(made) == {f"learn:s{made.pk}.1.0:s-": 1}


def test_the_holdout_gets_hours_that_the_model_does_not_choose(learning: None, frozen: Any) -> None:
    made = make_series(steps=[learns(learning_holdout_percent=50)])
    people = entered(made, count=40)
    found = [due(made, person) or noon() for person in people]
    assert 8 < found.count(noon(hours=4)) < 32
    others = [at for at in found if at != noon(hours=4)]
    assert len(set(others)) > 4
    assert all(8 <= at.hour < 21 and noon() <= at < noon(hours=24) for at in others)


def test_the_window_begins_at_the_local_time_and_is_bounded(sure: None, frozen: Any) -> None:
    made = make_series(steps=[learns(at="09:00", send_window_hours=3)])
    nine = 3 * 24 + 9
    (person,) = entered(made, hours={nine + 2: (9, 8), nine + 3: (9, 9)}, timezone="Asia/Tokyo")
    frozen.forward(12 * 3_600)  # 09:00 of the next day in Tokyo
    go_on()
    assert due(made, person) == noon(hours=14)


def test_quiet_hours_hold_and_the_night_is_chosen_where_it_may_be(sure: None, frozen: Any) -> None:
    made = make_series(steps=[learns()])
    person = make_user()
    known(person, "email", {64: (9, 9), 66: (9, 8), 71: (9, 9)})
    UserNotificationPreference.objects.create(
        user=person,
        quiet_hours_enabled=True,
        quiet_hours_start="15:00",
        quiet_hours_end="17:30",
        data_processing_consent=True,
    )
    happens(person)
    go_on()
    assert due(made, person) == noon(hours=6)
    at_night = make_series(
        steps=[learns(send_at_night=True)], trigger={"on": "event", "event": "night"}
    )
    happens(person, name="night")
    go_on()
    assert due(at_night, person) == noon(hours=11)


def test_after_a_long_pause_an_hour_is_chosen_anew(sure: None, frozen: Any) -> None:
    made = make_series(steps=[learns()])
    (person,) = entered(made)
    act("pause", made)
    frozen.forward(20 * 3_600)  # Thursday, 08:00: no other hour was tried
    go_on()
    act("resume", made)
    known(person, "email", {81: (9, 9)})
    go_on()
    assert due(made, person) == noon(hours=21)
    frozen.forward(2 * 3_600)
    go_on()
    assert mails_of(made, person) == [PATHS[0]]


def test_who_leaves_while_the_mail_waits_for_its_hour_gets_none(sure: None, frozen: Any) -> None:
    made = make_series(steps=[learns()])
    (person,) = entered(made)
    User.objects.filter(pk=person.pk).update(is_active=False)
    frozen.forward(5 * 3_600)
    go_on()
    row = row_of(made, person)
    assert (row.state, row.reason, row.choice) == ("exited", "inactive", "")
    assert mails_of(made, person) == []


def test_where_learning_is_switched_off_the_mail_is_sent_at_its_time(
    sure: None, frozen: Any, override_environment: Any
) -> None:
    made = make_series(steps=[learns()])
    override_environment(learning="off")
    (person,) = entered(made)
    assert mails_of(made, person) == [PATHS[0]]
    assert variants(made) == {None: 1}
    assert change(made, name="Hello").name == "Hello"
    act("pause", made)
    assert act("resume", made).status == "live"


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"send_time": "best"}, "steps[0].send_time", "scheduled, learned"),
        ({"send_window_hours": 25}, "steps", "24"),
        ({"learning_holdout_percent": 0}, "steps", "1"),
    ],
)
def test_what_cannot_be_learned_is_refused(
    values: dict[str, Any], field: str, words: str, learning: None, frozen: Any
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make_series(steps=[learns(**values)])
    found = {error.path: error.detail for error in caught.value.errors}
    assert words in found[field]


def test_it_needs_learning_that_is_on(
    frozen: Any, override_environment: Any, learning: None
) -> None:
    draft = make_series(live=False, steps=[learns()])
    override_environment(learning="off")
    for do in (lambda: make_series(steps=[learns()]), lambda: act("launch", draft)):
        with pytest.raises(InvalidRequest) as caught:
            do()
        assert "CARILLON_LEARNING=on" in caught.value.errors[0].detail


def engage(made: MailSeries, place: str, percent: int) -> None:
    """Lets some percent of a group click an hour after the hand-over."""
    rows = Notification.objects.filter(variant=f"learn:s{made.pk}.1.0:{place}-")
    messages = list(NotificationMessage.objects.filter(notification__in=rows).order_by("pk"))
    NotificationAnalytics.objects.bulk_create(
        NotificationAnalytics(
            notification=message,
            sent_at=message.sent_at,
            sent_quarter=quarter_of(message.sent_at),
            clicked_at=message.sent_at + timedelta(hours=1),
            channel=message.channel,
            variant=message.notification.variant,
            flags=CLICK_HUMAN,
        )
        for message in messages[: len(messages) * percent // 100]
    )


def test_the_report_holds_the_learned_against_the_holdout(learning: None, frozen: Any) -> None:
    made = make_series(steps=[learns(learning_holdout_percent=50), {"template_path": PATHS[1]}])
    entered(made, count=30)
    for _ in range(24):
        frozen.forward(3_600)
        go_on()
    work()
    engage(made, "l", 95)
    engage(made, "h", 5)
    frozen.forward(4 * 86_400)
    first, second = series_report(fresh(made)).steps
    assert second.learning is None
    assert first.learning is not None
    assert first.learning.verdict == "open"
    assert first.learning.learned.users + first.learning.holdout.users == 30
    change(made, steps=[{"template_path": PATHS[1]}])
    first = series_report(fresh(made)).steps[0]
    assert first.learning is not None
    assert first.learning.verdict == "helps"
    assert first.learning.explanation.startswith("Learning helps")


def test_the_statements_of_a_choice_do_not_grow_with_the_people(sure: None, frozen: Any) -> None:
    counts = []
    for number in (2, 12):
        made = make_series(steps=[learns()], trigger={"on": "event", "event": f"of {number}"})
        people = [make_user() for _ in range(number)]
        for person in people:
            known(person, "email", FOUR)
        happens(*people, name=f"of {number}")
        with CaptureQueriesContext(connection) as found:
            go_on()
        assert {due(made, person) for person in people} == {noon(hours=4)}
        counts.append(len(found))
    assert counts[0] == counts[1]
