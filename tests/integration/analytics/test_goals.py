"""Goals, events and conversions: attribution in any order, each stored once."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

import pytest
from asgiref.sync import async_to_sync

from notifications.domain.callers import Caller
from notifications.domain.engagement import CLICK_HUMAN, CLICK_MACHINE, CONVERTED, OPEN_HUMAN
from notifications.domain.errors import Conflict, NotFound, Refused
from notifications.features.analytics.goal_schemas import ConversionBody, EventBody, GoalBody
from notifications.features.analytics.goals import GoalService
from notifications.features.analytics.rollup import roll_up_due
from notifications.models import (
    Conversion,
    MetricRollup,
    Notification,
    NotificationAnalytics,
    PersonEvent,
    TrackingEvent,
)
from notifications.services import NotificationAnalyticsService
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db
CALLER = Caller(
    name="key:1",
    is_service=True,
    scopes=frozenset({"analytics:read", "analytics:write"}),
)
DAY = timedelta(days=1)
EXTREMES = [
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    datetime.min,
    datetime.max,
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
]


@pytest.fixture
def goal(frozen):
    GoalService().create(body=GoalBody(name="Bought", event="bought"), caller=CALLER)


@pytest.fixture
def person(db):
    return make_user()


def engaged(person, frozen, *, opened=None, clicked=None, flags=None):
    """A message that a person engaged with, so long ago."""
    (message,) = make_messages(1, user=person, in_batch=False, status="sent")
    old = frozen.now - 20 * DAY
    Notification.objects.filter(pk=message.pk).update(created_at=old)
    given = (OPEN_HUMAN if opened else 0) | (CLICK_HUMAN if clicked else 0)
    return NotificationAnalytics.objects.create(
        notification=message,
        sent_at=frozen.now - 20 * DAY,
        sent_quarter=frozen.now - 20 * DAY,
        channel="email",
        opened_at=frozen.now - opened if opened else None,
        clicked_at=frozen.now - clicked if clicked else None,
        flags=given if flags is None else flags,
    )


def report(person, at=None, key=None, name="bought", **properties):
    event = EventBody(
        user_id=person.pk, name=name, occurred_at=at, idempotency_key=key, properties=properties
    )
    return GoalService().report(events=[event], caller=CALLER)


def converted() -> dict[int, bool]:
    rows = NotificationAnalytics.objects.order_by("pk")
    return {row.pk: bool(row.flags & CONVERTED) and row.converted_at is not None for row in rows}


def test_the_last_click_within_the_window_gets_the_conversion(goal, person, frozen):
    old = engaged(person, frozen, clicked=8 * DAY)
    first = engaged(person, frozen, clicked=3 * DAY)
    last = engaged(person, frozen, clicked=2 * DAY)
    later = engaged(person, frozen, clicked=timedelta(hours=1))
    opened = engaged(person, frozen, opened=timedelta(days=1, hours=1))
    machine = engaged(person, frozen, clicked=DAY, flags=CLICK_MACHINE)
    other = engaged(make_user(), frozen, clicked=DAY)

    assert report(person, at=frozen.now - DAY).accepted == 1

    assert [key for key, hit in converted().items() if hit] == [last.pk]
    assert {old.pk, first.pk, later.pk, opened.pk, machine.pk, other.pk} < set(converted())
    assert Conversion.objects.get().touched_at == last.clicked_at


def test_an_open_counts_where_the_goal_says_so_and_nothing_was_clicked(person, frozen):
    body = GoalBody(name="Read", event="read", counts_opens=True)
    GoalService().create(body=body, caller=CALLER)
    opened = engaged(person, frozen, opened=DAY)
    report(person, name="read")
    assert converted() == {opened.pk: True}

    clicked = engaged(person, frozen, clicked=2 * DAY)
    roll_up_due()  # a click is stored after the event that it led to
    assert converted() == {opened.pk: False, clicked.pk: True}
    roll_up_due()
    assert sum(MetricRollup.objects.values_list("converted", flat=True)) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_of_arrival_gives_the_same_attribution(goal, person, frozen, order):
    rows = []

    def click(age):
        rows.append(engaged(person, frozen, clicked=age))

    steps = [
        lambda: click(3 * DAY),
        lambda: click(2 * DAY),
        lambda: report(person, at=frozen.now - DAY),
    ]
    for number in order:
        steps[number]()
        roll_up_due()

    times = {row.pk: row.clicked_at for row in rows}
    hits = [times[key] for key, hit in converted().items() if hit]
    assert hits == [frozen.now - 2 * DAY]


def test_a_second_click_of_the_same_mail_counts(goal, person, frozen):
    row = engaged(person, frozen, clicked=9 * DAY)
    TrackingEvent.objects.create(
        message_id=row.pk,
        notification_id=row.pk,
        kind="click",
        method="GET",
        verdict="human",
        at=frozen.now - DAY,
    )
    report(person)
    assert converted() == {row.pk: True}


def test_an_event_is_stored_once_and_sealed(goal, person, frozen):
    engaged(person, frozen, clicked=DAY)
    assert report(person, key="order-1", course="algebra").duplicates == 0
    assert report(person, key="order-1", course="algebra").duplicates == 1
    report(person, at=frozen.now)
    assert report(person, at=frozen.now).duplicates == 1
    assert PersonEvent.objects.count() == 2
    assert Conversion.objects.count() == 2

    row = PersonEvent.objects.get(idempotency_key="order-1")
    assert row.properties == {"course": "algebra"}
    sealed = PersonEvent.objects.filter(pk=row.pk).values_list("properties", flat=True)
    assert "algebra" not in str(sealed.query)


def test_an_event_without_a_time_is_another_one_a_month_later(person, frozen):
    assert report(person).duplicates == 0
    frozen.now += 30 * DAY
    assert report(person).duplicates == 0
    assert PersonEvent.objects.count() == 2


@pytest.mark.parametrize("moment", EXTREMES)
def test_extreme_times_are_refused_and_not_an_overflow(person, moment):
    found = report(person, at=moment)
    assert [each.code for each in found.rejected] == ["time_out_of_range"]
    metrics = async_to_sync(NotificationAnalyticsService().get_notification_metrics)
    assert metrics(EXTREMES[0], moment)["sent"] == 0


def test_many_events_are_attributed_at_once(goal, person, frozen):
    row = engaged(person, frozen, clicked=DAY)
    events = [
        EventBody(user_id=person.pk, name="bought", idempotency_key=f"{number}")
        for number in range(1_200)
    ]
    assert GoalService().report(events=events, caller=CALLER).accepted == 1_200
    assert Conversion.objects.filter(message_id=row.pk).count() == 1_200


def test_an_open_and_a_click_of_one_message_both_change_attributions(person, frozen):
    body = GoalBody(name="Read", event="read", counts_opens=True)
    GoalService().create(body=body, caller=CALLER)
    report(person, name="read", at=frozen.now - 2 * DAY)

    row = engaged(person, frozen, opened=3 * DAY, clicked=DAY)
    roll_up_due()

    assert converted() == {row.pk: True}
    assert Conversion.objects.get().touched_at == row.opened_at


def test_faulty_events_are_listed_and_the_others_stored(person, frozen):
    events = [
        EventBody(user_id=10**9, name="x"),
        EventBody(user_id=person.pk, name="x"),
        EventBody(user_id=person.pk, name="y", occurred_at=frozen.now + DAY),
    ]
    found = GoalService().report(events=events, caller=CALLER)
    assert (found.accepted, found.duplicates) == (1, 0)
    assert [(each.index, each.code) for each in found.rejected] == [
        (0, "unknown_user"),
        (2, "time_out_of_range"),
    ]


def test_a_conversion_is_the_event_of_its_goal(goal, person, frozen):
    row = engaged(person, frozen, clicked=DAY)
    body = ConversionBody(goal="Bought", user_id=person.pk)
    found = GoalService().convert(body=body, caller=CALLER)
    assert found.notification_id == row.notification.notification.uuid
    assert (found.channel, found.touched_at) == ("email", row.clicked_at)
    with pytest.raises(NotFound):
        GoalService().convert(body=ConversionBody(goal="No", user_id=person.pk), caller=CALLER)


def test_a_key_of_another_event_or_user_is_no_conversion(goal, person, frozen):
    report(person, key="1", name="read")
    report(make_user(), key="2")
    events = PersonEvent.objects.count()
    for key in ("1", "2"):
        body = ConversionBody(goal="Bought", user_id=person.pk, idempotency_key=key)
        with pytest.raises(Conflict) as caught:
            GoalService().convert(body=body, caller=CALLER)
        assert caught.value.code == "idempotency_mismatch"
    assert PersonEvent.objects.count() == events

    body = ConversionBody(goal="Bought", user_id=person.pk, idempotency_key="3")
    first = GoalService().convert(body=body, caller=CALLER)
    assert GoalService().convert(body=body, caller=CALLER) == first


def test_goals_have_names_of_their_own_and_need_scopes(goal):
    with pytest.raises(Conflict):
        GoalService().create(body=GoalBody(name="Bought", event="x"), caller=CALLER)
    with pytest.raises(Refused):
        GoalService().create(
            body=GoalBody(name="Other", event="x"), caller=Caller(name="key:2", is_service=True)
        )
    (found,) = GoalService().list(caller=CALLER)
    assert (found.name, found.window_days) == ("Bought", 7)
