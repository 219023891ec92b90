"""What is learned of a person goes with them, is theirs to read, and ends with their consent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from click.testing import CliRunner
from django.db import connection
from django.test.utils import CaptureQueriesContext

from carillon.cli.analytics import command
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.domain.engagement import CLICK_HUMAN
from notifications.domain.learning.counts import HourCounts, by_hour
from notifications.features.analytics.rollup import roll_up_due, to_roll_up
from notifications.features.preferences.service import PreferenceService
from notifications.features.privacy.export.sections import read_pages
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.models import (
    BroadcastRecipient,
    EngagementHours,
    EngagementPrior,
    LearningDelta,
    NotificationAnalytics,
)
from notifications.models.learning.hand_over import HandOver, unpacked_changes
from notifications.models.learning.hours import unpacked_cells
from tests.integration.campaigns.factories import act, make_campaign
from tests.integration.factories import make_template, make_user
from tests.integration.learning.conftest import known
from tests.integration.tracking.conftest import written

pytestmark = pytest.mark.django_db


def refuse(person: User) -> None:
    changes = {"global": {"tracking_enabled": False}}
    PreferenceService().update(changes=changes, caller=SYSTEM, identifier=person.pk)


def test_an_erasure_deletes_what_was_learned_and_why_something_was_chosen(sure, frozen):
    person, other = (make_user(role="student") for _ in range(2))
    for user in (person, other):
        known(user, "email", {64: (9, 9)})
    made = act("launch", make_campaign(channels=["email"], send_time="learned"))
    act("cancel", made)
    LearningDelta.objects.append(
        [(HandOver(user.pk, "email", 1_900_000_000, 1), 1) for user in (person, other)]
    )
    PrivacyService().erase_user(identifier=person.pk, reason="asked", caller=SYSTEM)
    erase_due(now=frozen.now + timedelta(seconds=5))
    left = EngagementHours.objects.values_list("user_id", flat=True)
    assert list(left) == [other.pk]
    (row,) = LearningDelta.objects.all()
    assert [each.user_id for each, _ in unpacked_changes(row.changes)] == [other.pk]
    choices = BroadcastRecipient.objects.filter(broadcast__campaign=made)
    assert {r.recipient_id for r in choices if r.choice} == {other.pk}


def test_hand_overs_of_a_person_who_is_gone_are_dropped(learning, frozen):
    LearningDelta.objects.append([(HandOver(10**9, "email", 1_900_000_000, 1), 1)])
    roll_up_due()
    assert not LearningDelta.objects.exists()
    assert not EngagementHours.objects.exists()
    assert not EngagementPrior.objects.exists()


def test_a_row_that_was_written_beside_the_refusal_goes_with_the_next_message(learning, frozen):
    person, other = make_user(), make_user()
    category = make_template().category_id
    refuse(person)
    for user in (person, other):
        known(user, "email", {64: (9, 9)})  # by a count that began before the refusal
    LearningDelta.objects.append(
        [(HandOver(person.pk, "email", int(frozen.now.timestamp()), category), 1)]
    )
    roll_up_due()
    assert list(EngagementHours.objects.values_list("user_id", flat=True)) == [other.pk]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no locks of rows")
def test_a_refusal_locks_rows_in_the_order_of_the_count(learning, frozen):
    person = make_user()
    with CaptureQueriesContext(connection) as found:
        refuse(person)
    (locking,) = [
        each["sql"] for each in found if 'FROM "notifications_engagementhours"' in each["sql"]
    ]
    assert locking.endswith("ORDER BY 1 ASC FOR UPDATE")  # by its id, the only column


def test_only_the_refusal_itself_looks_for_what_was_learned(frozen):
    person = make_user()
    refuse(person)
    with CaptureQueriesContext(connection) as found:
        for changes in (
            {"global": {"marketing_enabled": False}},
            {"global": {"timezone": "Asia/Tokyo"}},
        ):
            PreferenceService().update(changes=changes, caller=SYSTEM, identifier=person.pk)
    assert not [each for each in found if "engagementhours" in each["sql"]]


def test_hand_overs_that_are_left_when_it_is_switched_off_are_deleted(frozen):
    person = make_user()
    LearningDelta.objects.append([(HandOver(person.pk, "email", 1_900_000_000, 1), 1)])
    assert any(rows.exists() for rows in to_roll_up(frozen.now))
    roll_up_due()
    assert not LearningDelta.objects.exists()
    assert not EngagementHours.objects.exists()


def test_the_export_lists_hours(learning, frozen):
    person = make_user()
    known(person, "email", {64: (9, 8)})
    found = [
        item
        for name, items in read_pages(person.pk, own=True)
        if name == "engagement_hours"
        for item in items
    ]
    assert [(each["channel"], each["hours"]) for each in found] == [
        (
            "email",
            [
                {
                    "since": "2030-04-04",
                    "hour": "Wednesday 16:00",
                    "handed": 9,
                    "clicked": 8,
                    "engaged": 8,
                }
            ],
        )
    ]


def test_who_refuses_tracking_is_forgotten_and_not_counted_again(
    learning, send_mail, reader, person, frozen
):
    mail = send_mail()
    frozen.forward(60)
    reader.get(mail.links[0])
    written()
    roll_up_due()
    assert EngagementHours.objects.filter(user=person).exists()
    refuse(person)
    assert not EngagementHours.objects.filter(user=person).exists()
    NotificationAnalytics.objects.update(flags=0)
    roll_up_due()
    assert not EngagementHours.objects.filter(user=person).exists()


def test_the_command_counts_what_was_sent_before(send_mail, frozen, person, override_environment):
    mail = send_mail()  # nothing is learned yet
    NotificationAnalytics.objects.create(
        notification=mail.message,
        sent_at=mail.message.sent_at,
        sent_quarter=mail.message.sent_at,
        channel="email",
        flags=CLICK_HUMAN,
    )
    roll_up_due()
    refused = CliRunner().invoke(command, ["rebuild-hours"])
    assert refused.exit_code == 1
    assert "CARILLON_LEARNING=on" in refused.output
    override_environment(learning="on")
    for _ in range(2):
        done = CliRunner().invoke(command, ["rebuild-hours"])
        assert (done.exit_code, "looked at 1 messages" in done.output) == (0, True)
        cells = unpacked_cells(EngagementHours.objects.get(user=person).cells)
        assert list(by_hour(cells).values()) == [HourCounts(1, 1, 1)]


def test_a_new_count_of_everything_counts_hours_too_and_keeps_them_while_off(
    send_mail, frozen, person, override_environment
):
    known(person, "email", {64: (9, 9)})
    frozen.forward(60)
    assert CliRunner().invoke(command, ["rebuild", "--everything"]).exit_code == 0
    cells = unpacked_cells(EngagementHours.objects.get(user=person).cells)
    assert list(by_hour(cells).values()) == [HourCounts(9, 9, 9)]
    override_environment(learning="on")
    mail = send_mail()
    NotificationAnalytics.objects.create(
        notification=mail.message,
        sent_at=mail.message.sent_at,
        sent_quarter=mail.message.sent_at,
        channel="email",
        flags=CLICK_HUMAN,
    )
    roll_up_due()
    frozen.forward(60)
    done = CliRunner().invoke(command, ["rebuild", "--everything"])
    assert (done.exit_code, "1 messages for hours" in done.output) == (0, True)
    roll_up_due()
    cells = unpacked_cells(EngagementHours.objects.get(user=person).cells)
    assert list(by_hour(cells).values()) == [HourCounts(1, 1, 1)]
