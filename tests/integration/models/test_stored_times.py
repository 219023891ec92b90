"""Every time that a table can store is readable, by the ORM and by the hot statements."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from django.db import connection

from directory.models import User
from directory.moments import EARLIEST, LATEST
from notifications.models import (
    Notification,
    NotificationMessage,
    UserNotificationPreference,
)
from notifications.models.delivery.hot import hot
from notifications.models.delivery.hot_facts import load_circumstances, load_people
from notifications.policy.preference_text import parse_preferences
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db
FAR = ["9999-12-31 23:59:59.999999", "2200-01-01 00:00:00"]
LONG_AGO = ["0001-01-01 00:00:00", "1969-12-31 23:59:59"]
OF_POSTGRES = [
    ("infinity", LATEST),
    ("-infinity", EARLIEST),
    ("10000-01-01 00:00:00+00", LATEST),
    ("294276-12-31 23:59:59+00", LATEST),
    ("9999-12-31 23:59:59.9999999-05", LATEST),
    ("0044-03-15 12:00:00+00 BC", EARLIEST),
    ("0001-01-01 00:00:00+14", EARLIEST),
]


def cases():
    found = [(text, LATEST) for text in FAR] + [(text, EARLIEST) for text in LONG_AGO]
    return found + (OF_POSTGRES if connection.vendor == "postgresql" else [])


def put(model, key, column, text):
    table = model._meta.db_table
    pk = model._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s WHERE {pk} = %s", [text, key])


def test_a_time_that_python_cannot_represent_hides_no_other_row():
    odd, other = make_user(), make_user()
    for text, read_as in cases():
        put(User, odd.pk, "date_joined", text)
        put(User, odd.pk, "last_login", text)
        by_orm = {user.pk: user for user in User.objects.all()}
        by_hot = load_people([odd.pk, other.pk]).rows
        assert by_orm[odd.pk].date_joined == by_orm[odd.pk].last_login == read_as, text
        assert by_hot[odd.pk][10] == by_hot[odd.pk][11] == read_as, text
        assert by_orm[other.pk].date_joined == by_hot[other.pk][10] == other.date_joined


def test_an_expiry_that_python_cannot_represent_hides_no_other_message():
    odd, other = make_messages(2)
    for text, read_as in cases():
        put(Notification, odd.notification_id, "expires_at", text)
        put(NotificationMessage, odd.pk, "scheduled_at", text)
        found = {row.id: row for row in hot().load_pending([odd.pk, other.pk])}
        assert found[odd.pk].expires_at == read_as, text
        assert found[other.pk].expires_at is None
        assert NotificationMessage.objects.get(pk=odd.pk).scheduled_at == read_as


def test_a_mute_that_python_cannot_represent_is_a_mute():
    user = make_user()
    row = UserNotificationPreference.objects.create(user=user, dnd_until=LATEST)
    for text, read_as in cases():
        put(UserNotificationPreference, row.pk, "dnd_until", text)
        preferences = parse_preferences(load_circumstances([user.pk]).preferences[user.pk])
        assert preferences.dnd_until == read_as, text
        assert UserNotificationPreference.objects.get(pk=row.pk).dnd_until == read_as


@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL has 24:00 and infinity")
def test_days_and_hours_that_python_cannot_represent_are_read():
    row = UserNotificationPreference.objects.create(user=make_user(), quiet_hours_enabled=True)
    put(UserNotificationPreference, row.pk, "quiet_hours_end", "24:00:00")
    assert UserNotificationPreference.objects.get(pk=row.pk).quiet_hours_end == time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'infinity'::date, '-infinity'::date, '0044-01-01 BC'::date")
        assert cursor.fetchone() == (LATEST.date(), EARLIEST.date(), EARLIEST.date())


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite holds any text as a time")
@pytest.mark.parametrize("text", ["soon", "", "2030-13-45 00:00:00"])
def test_a_text_that_is_no_time_is_none(text):
    odd, other = make_user(), make_user()
    put(User, odd.pk, "date_joined", text)
    found = dict(User.objects.values_list("pk", "date_joined"))
    assert found == {odd.pk: None, other.pk: other.date_joined}


def test_times_within_the_range_are_read_as_they_were_written():
    moment = datetime(2031, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC)
    user = make_user(date_joined=moment)
    assert User.objects.get(pk=user.pk).date_joined == moment
    assert load_people([user.pk]).rows[user.pk][10] == moment
