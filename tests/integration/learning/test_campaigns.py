"""Learned hours and channels of campaigns: who gets what when, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.domain.callers import SYSTEM
from notifications.domain.engagement import CLICK_HUMAN, quarter_of
from notifications.domain.errors import InvalidRequest
from notifications.features.campaigns.report import campaign_report
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Campaign,
    Notification,
    NotificationAnalytics,
    NotificationMessage,
    UserNotificationPreference,
)
from notifications.services import NotificationService
from tests.integration.campaigns.factories import (
    act,
    finish,
    fresh,
    go_on,
    make_campaign,
    make_news,
    make_students,
    schedule,
)
from tests.integration.factories import make_user
from tests.integration.learning.conftest import known, known_of_all, noon

pytestmark = pytest.mark.django_db
LEARNED = {"send_time": "learned", "channels": ["email"]}


def dues(made: Campaign) -> dict[int, datetime]:
    """When each person is due."""
    rows = BroadcastRecipient.objects.filter(broadcast__campaign=made)
    return dict(rows.values_list("recipient_id", "broadcast__scheduled_at"))


def students(count: int, *, email: dict[int, tuple[int, int]] | None = None, **values) -> list:
    found = [make_user(role="student", **values) for _ in range(count)]
    for user in found:
        if email:
            known(user, "email", email)
    return found


def labels(made: Campaign) -> dict[str, int]:
    rows = Notification.objects.filter(source__in=[b.source for b in made.broadcasts.all()])
    found: dict[str, int] = {}
    for label in rows.values_list("variant", flat=True):
        found[label or ""] = found.get(label or "", 0) + 1
    return found


def test_people_of_whom_little_is_known_are_due_at_the_start(learning, frozen):
    (person,) = students(1, email={62: (4, 4)})
    made = act("launch", make_campaign(**LEARNED))
    assert dues(made) == {person.pk: noon()}
    finish(made)
    assert labels(made) == {f"learn:{made.pk}:s-": 1}


def test_a_holdout_gets_hours_that_the_model_does_not_choose(learning, frozen):
    students(60, email={64: (9, 9)})
    made = act("launch", make_campaign(**LEARNED, learning_holdout_percent=50))
    found = list(dues(made).values())
    learned = found.count(noon(hours=4))
    assert 15 < learned < 45
    others = {at for at in found if at != noon(hours=4)}
    assert len(others) > 8
    assert all(8 <= at.hour < 21 and noon() <= at < noon(hours=24) for at in others)
    frozen.forward(25 * 3_600)
    assert finish(made).status == "completed"
    held = labels(made)[f"learn:{made.pk}:h-"]
    assert held == 60 - labels(made)[f"learn:{made.pk}:l-"]


def test_the_window_begins_at_the_local_time_of_each_zone(sure, frozen):
    nine = 3 * 24 + 9
    (tokyo,) = students(1, email={nine + 2: (9, 9)}, timezone="Asia/Tokyo")
    (lima,) = students(1, email={nine + 1: (9, 9)}, timezone="America/Lima")
    made = make_campaign(
        **LEARNED,
        scheduled_at="2030-05-02T09:00:00",
        per_timezone=True,
        send_window_hours=3,
    )
    schedule(made)
    frozen.forward(8 * 3_600)
    go_on()
    assert dues(made) == {
        tokyo.pk: datetime(2030, 5, 2, 2, tzinfo=UTC),
        lima.pk: datetime(2030, 5, 2, 15, tzinfo=UTC),
    }


def test_hours_within_quiet_hours_are_left_out(sure, frozen):
    (person,) = students(1, email={64: (9, 9), 66: (9, 8)})
    UserNotificationPreference.objects.create(
        user=person,
        quiet_hours_enabled=True,
        quiet_hours_start="15:00",
        quiet_hours_end="17:30",
        data_processing_consent=True,
    )
    made = act("launch", make_campaign(**LEARNED))
    assert dues(made) == {person.pk: noon(hours=6)}


def test_an_hour_of_the_night_is_chosen_where_the_campaign_allows_it(sure, frozen):
    (person,) = students(1, email={71: (9, 9), 64: (9, 8)})
    by_day = act("launch", make_campaign(**LEARNED))
    assert dues(by_day) == {person.pk: noon(hours=4)}
    at_night = act("launch", make_campaign(**LEARNED, send_at_night=True))
    assert dues(at_night) == {person.pk: noon(hours=11)}


def test_who_refuses_tracking_is_not_learned_of(learning, frozen):
    (person,) = students(1, email={64: (9, 9)})
    UserNotificationPreference.objects.create(
        user=person, tracking_enabled=False, data_processing_consent=True
    )
    made = act("launch", make_campaign(**LEARNED))
    assert dues(made) == {person.pk: noon()}


def test_old_counts_do_not_count(learning, frozen):
    (person,) = students(1)
    known(person, "email", {64: (9, 9)}, at=noon(days=-250))
    made = act("launch", make_campaign(**LEARNED))
    assert dues(made) == {person.pk: noon()}


def test_another_process_continues_and_places_no_one_twice(sure, frozen):
    students(3, email={64: (9, 9)})
    made = act("launch", make_campaign(**LEARNED))
    before = dues(made)
    Campaign.objects.filter(pk=made.pk).update(placed_done=False, placed_after=0)
    go_on()
    assert dues(made) == before
    rows = BroadcastRecipient.objects.filter(broadcast__campaign=made)
    assert rows.count() == 3


def test_a_pause_holds_those_who_are_due_later(sure, frozen):
    students(1, email={64: (9, 9)})
    made = act("launch", make_campaign(**LEARNED))
    act("pause", made)
    frozen.forward(5 * 3_600)
    assert finish(made).status == "paused"
    assert labels(made) == {}
    act("resume", made)
    assert finish(made).status == "completed"
    assert labels(made) == {f"learn:{made.pk}:l-": 1}


def test_the_best_channel_is_tried_first_and_the_others_follow(sure, frozen):
    reader, other = students(2)
    known(reader, "in_app", {60: (9, 8)})
    known(reader, "email", {60: (9, 1)})
    known(other, "email", {60: (9, 8)})
    made = make_campaign(
        channels=["email", "in_app"],
        delivery="first",
        channel_choice="learned",
    )
    act("launch", made)
    finish(made)
    rows = NotificationMessage.objects.filter(user_id__in=[reader.pk, other.pk])
    assert dict(rows.values_list("user_id", "channel")) == {reader.pk: "in_app", other.pk: "email"}
    row = Notification.objects.get(user_id=reader.pk)
    assert row.options["fallback"] == ["email"]
    assert row.variant == f"learn:{made.pk}:-l"
    found = NotificationService().explain(identifier=row.uuid, caller=SYSTEM).learning
    assert found is not None
    assert found.send_time is None
    assert [each.channel for each in found.channels.order] == ["in_app", "email"]
    assert "First to in_app: of 9 messages there the person engaged with 8" in found.explanation


def test_a_channel_that_the_person_closed_gives_way_to_the_next(sure, frozen):
    (person,) = students(1)
    UserNotificationPreference.objects.create(
        user=person, in_app_enabled=False, data_processing_consent=True
    )
    known(person, "in_app", {60: (9, 8)})
    known_of_all("email", {60: (1_000, 50)})
    made = make_campaign(
        channels=["email", "in_app"],
        delivery="first",
        channel_choice="learned",
    )
    act("launch", made)
    finish(made)
    rows = NotificationMessage.objects.filter(user_id=person.pk)
    assert dict(rows.values_list("channel", "status")) == {
        "in_app": "suppressed",
        "email": "sent",
    }


def test_both_choices_share_a_label(sure, frozen):
    (person,) = students(1)
    known(person, "in_app", {63: (9, 8)})
    known_of_all("email", {60: (1_000, 50)})
    made = make_campaign(
        channels=["email", "in_app"],
        delivery="first",
        channel_choice="learned",
        send_time="learned",
    )
    act("launch", made)
    assert dues(made) == {person.pk: noon(hours=3)}  # the hours of the channel that comes first
    frozen.forward(4 * 3_600)
    finish(made)
    assert labels(made) == {f"learn:{made.pk}:ll": 1}


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        (
            {**LEARNED, "ab_test": {"variants": [{"name": "A"}, {"name": "B"}]}},
            "send_time",
            "cannot be combined with ab_test",
        ),
        ({"channels": ["email"], "channel_choice": "learned"}, "channel_choice", "two or more"),
        (
            {"channels": ["email", "in_app"], "channel_choice": "learned"},
            "channel_choice",
            "needs delivery `first`",
        ),
        (
            {"channels": ["email", "in_app"], "send_time": "learned"},
            "send_time",
            "needs delivery `first` or one channel",
        ),
        ({**LEARNED, "send_window_hours": 73}, "send_window_hours", "72"),
        ({**LEARNED, "learning_holdout_percent": 0}, "learning_holdout_percent", "1"),
        ({**LEARNED, "send_time": "best"}, "send_time", "learned"),
        ({"late_zones": "never"}, "late_zones", "send_now, next_day"),
    ],
)
def test_what_cannot_be_learned_is_refused(values, field, words, learning, frozen):
    make_students()
    with pytest.raises(InvalidRequest) as caught:
        make_campaign(**values)
    found = {error.path: error.detail for error in caught.value.errors}
    assert words in found[field]


def test_a_service_that_learns_nothing_refuses_both(frozen):
    make_students()
    with pytest.raises(InvalidRequest) as caught:
        make_campaign(**LEARNED)
    (error,) = caught.value.errors
    assert error.path == "send_time"
    assert "set CARILLON_LEARNING=on" in error.detail


def test_a_copy_learns_as_the_original_does(learning, frozen):
    make_students()
    made = make_campaign(**LEARNED, send_window_hours=6, learning_holdout_percent=20)
    act("duplicate", made)
    copy = Campaign.objects.exclude(pk=made.pk).get()
    assert (copy.send_time, copy.send_window_hours) == ("learned", 6)
    assert copy.learning_holdout_percent == 20


def test_a_campaign_without_it_reads_and_writes_nothing_of_it(learning, frozen):
    make_students(count=2)
    made = make_campaign()
    with CaptureQueriesContext(connection) as found:
        act("launch", made)
    assert not [each for each in found if "engagement" in each["sql"] or "choice =" in each["sql"]]
    assert campaign_report(fresh(made), now=clock.now()).learning is None


def engage(made: Campaign, place: str, percent: int) -> None:
    """Lets some percent of a group click an hour after the hand-over."""
    rows = Notification.objects.filter(variant=f"learn:{made.pk}:{place}-").order_by("pk")
    messages = NotificationMessage.objects.filter(notification__in=rows).order_by("pk")
    chosen = list(messages)[: messages.count() * percent // 100]
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
        for message in chosen
    )


@pytest.mark.parametrize(
    ("learned", "held", "verdict"), [(90, 5, "helps"), (5, 90, "harms"), (30, 30, "unclear")]
)
def test_the_report_says_whether_it_helps(learned, held, verdict, learning, frozen):
    students(60, email={64: (9, 9)})
    make_news()
    made = make_campaign(**LEARNED, learning_holdout_percent=50, send_window_hours=6)
    act("launch", made)
    finish(made)
    found = campaign_report(fresh(made), now=clock.now()).learning
    assert found is not None
    assert found.send_time.verdict == "open"
    frozen.forward(7 * 3_600)
    finish(made)
    engage(made, "l", learned)
    engage(made, "h", held)
    frozen.forward(4 * 86_400)
    found = campaign_report(fresh(made), now=clock.now()).learning
    assert found.channel_choice is None
    effect = found.send_time
    assert effect.verdict == verdict
    assert effect.learned.users + effect.holdout.users == 60
    assert (effect.p_value < 0.05) == (verdict != "unclear")
    if verdict == "helps":
        assert effect.lift > 0
        assert effect.explanation.startswith("Learning helps")


def test_a_cancelled_campaign_has_no_verdict(sure, frozen):
    students(20, email={64: (9, 9)})
    made = act("launch", make_campaign(**LEARNED))
    act("cancel", made)
    found = campaign_report(fresh(made), now=clock.now()).learning
    assert found is not None
    assert found.send_time.verdict == "cancelled"
    assert found.send_time.explanation.startswith("The campaign was cancelled")


def test_no_broadcast_of_another_kind_has_a_choice(frozen):
    make_students(count=2)
    made = act("launch", make_campaign())
    finish(made)
    rows = BroadcastRecipient.objects.filter(broadcast__in=Broadcast.objects.all())
    assert set(rows.values_list("choice", flat=True)) == {None}
    assert labels(made) == {"": 2}


def test_a_scheduled_campaign_is_a_draft_again_where_learning_was_switched_off(
    learning, frozen, override_environment
):
    students(1)
    made = make_campaign(**LEARNED, scheduled_at="2030-05-02T09:00:00Z")
    schedule(made)
    override_environment(learning="off")
    frozen.forward(86_400)
    go_on()
    row = fresh(made)
    assert (row.status, "nothing is learned here" in row.error) == ("draft", True)
