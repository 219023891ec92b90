"""Preferences are read, merged and unsubscribed from; consents are recorded."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import InvalidRequest, NotFound, Refused
from notifications.features.preferences.consents import ConsentService, set_consent_of
from notifications.features.preferences.service import PreferenceService
from notifications.models import (
    ConsentRecord,
    LedgerError,
    NotificationCategoryPreference,
    UserNotificationPreference,
)
from tests.integration.factories import delete_row, make_user

pytestmark = pytest.mark.django_db

DEFAULTS = {
    "notifications_enabled": True,
    "marketing_enabled": False,
    "push_enabled": True,
    "email_enabled": True,
    "sms_enabled": False,
    "websocket_enabled": True,
    "telegram_enabled": True,
    "in_app_enabled": True,
    "quiet_hours_enabled": False,
    "quiet_hours_start": "22:00:00",
    "quiet_hours_end": "08:00:00",
    "timezone": "",
    "dnd_until": None,
    "digest_frequency": "immediate",
    "data_processing_consent": False,
    "consent_given_at": None,
    "consent_withdrawn_at": None,
}


def own(user) -> Caller:
    return Caller(name=f"user:{user.pk}", user_id=user.pk)


def change(user, **overall):
    return PreferenceService().update(changes={"global": overall}, caller=own(user))


def shown(answer):
    return {name: getattr(answer.overall, name) for name in DEFAULTS}


def test_a_user_without_choices_has_the_defaults_and_no_row():
    user = make_user()

    answer = PreferenceService().get(caller=own(user))

    assert shown(answer) == DEFAULTS
    assert answer.categories == {}
    assert not UserNotificationPreference.objects.exists()


def test_a_row_starts_with_the_documented_defaults():
    row = UserNotificationPreference.objects.create(user=make_user())

    assert (row.notifications_enabled, row.marketing_enabled, row.sms_enabled) == (
        True,
        False,
        False,
    )
    assert (row.quiet_hours_start, row.quiet_hours_end) == (time(22), time(8))
    assert (row.data_processing_consent, row.digest_frequency) == (False, "immediate")
    assert row.switches() == {}


@pytest.mark.parametrize("consent", [True, False])
def test_new_users_start_with_the_consent_of_the_setting(override_environment, consent):
    override_environment(default_consent=consent)
    user = make_user()

    assert PreferenceService().get(caller=own(user)).overall.data_processing_consent is consent
    row = UserNotificationPreference.objects.create(user=user)
    assert row.data_processing_consent is consent


def test_changes_are_merged_and_the_rest_stays():
    user = make_user()
    change(user, push_enabled=False, quiet_hours_enabled=True)

    answer = change(user, quiet_hours_start="23:30", timezone="Europe/Paris")

    assert shown(answer) == DEFAULTS | {
        "push_enabled": False,
        "quiet_hours_enabled": True,
        "quiet_hours_start": "23:30:00",
        "timezone": "Europe/Paris",
    }


def test_a_category_shows_its_choices_and_the_general_values_otherwise():
    user = make_user()
    body = {"global": {"push_enabled": False}, "categories": {"course": {"sms_enabled": True}}}

    answer = PreferenceService().update(changes=body, caller=own(user))

    course = answer.categories["course"]
    assert (course.sms_enabled, course.push_enabled, course.email_enabled) == (True, False, True)


def test_a_default_that_was_chosen_is_remembered_as_a_choice():
    user = make_user()
    change(user, sms_enabled=False)

    row = UserNotificationPreference.objects.get(user=user)
    assert row.switches() == {"sms": False}


def test_a_value_that_once_differed_from_its_default_stays_a_choice():
    row = UserNotificationPreference.objects.create(user=make_user(), sms_enabled=True)
    row.sms_enabled = False
    row.save(update_fields=["sms_enabled"])

    row.refresh_from_db()
    assert row.switches() == {"sms": False}


def test_all_errors_are_reported_at_once_and_nothing_changes():
    user = make_user()
    body = {
        "global": {
            "push_enabled": "yes",
            "quiet_hours_start": "25:00",
            "quiet_hours_end": "08:00+01:00",
            "timezone": "Mars/Olympus",
            "digest_frequency": "yearly",
            "dnd_until": "soon",
            "colour": "blue",
            "email_enabled": False,
        },
        "categories": {
            "nonsense": {"push_enabled": 1},
            "course": {"fax_enabled": True},
            "system": 3,
        },
        "other": 1,
    }

    with pytest.raises(InvalidRequest) as caught:
        PreferenceService().update(changes=body, caller=own(user))

    assert {(error.path, error.code) for error in caught.value.errors} == {
        ("other", "unknown_field"),
        ("global.push_enabled", "wrong_type"),
        ("global.quiet_hours_start", "invalid_time"),
        ("global.quiet_hours_end", "invalid_time"),
        ("global.timezone", "unknown_timezone"),
        ("global.digest_frequency", "invalid_choice"),
        ("global.dnd_until", "invalid_time"),
        ("global.colour", "unknown_field"),
        ("categories.nonsense", "unknown_category"),
        ("categories.nonsense.push_enabled", "wrong_type"),
        ("categories.course.fax_enabled", "unknown_field"),
        ("categories.system", "wrong_type"),
    }
    assert not UserNotificationPreference.objects.exists()


def test_preferences_of_another_user_need_the_scope():
    user, other = make_user(), make_user()

    for call in (PreferenceService().get, ConsentService().list):
        with pytest.raises(Refused) as caught:
            call(caller=own(user), identifier=other.pk)
        assert caught.value.data == {"scope": "preferences:read"}
    with pytest.raises(Refused):
        PreferenceService().update(changes={}, caller=own(user), identifier=other.pk)


def test_a_user_may_name_themselves_by_uuid():
    user = make_user()

    assert PreferenceService().get(caller=own(user), identifier=str(user.uuid)).categories == {}


@pytest.mark.parametrize(
    ("identifier", "error", "code"),
    [
        (None, InvalidRequest, "required"),
        ("unknown", InvalidRequest, "invalid_user"),
        (10**9, NotFound, "unknown_user"),
    ],
)
def test_a_service_must_name_the_user(identifier, error, code):
    with pytest.raises(error) as caught:
        PreferenceService().get(caller=SYSTEM, identifier=identifier)

    assert caught.value.code == code


# -- consent -----------------------------------------------------------------------------------


def entries(user):
    return list(
        ConsentRecord.objects.filter(user=user)
        .order_by("id")
        .values_list("purpose", "granted", "source", "actor")
    )


def test_a_change_of_consent_is_stamped_and_recorded_once(frozen):
    user = make_user()
    change(user, data_processing_consent=True, marketing_enabled=True)
    given_at = frozen.now
    frozen.forward(60)
    change(user, data_processing_consent=True)
    change(user, data_processing_consent=False)

    row = UserNotificationPreference.objects.get(user=user)
    assert (row.consent_given_at, row.consent_withdrawn_at) == (given_at, frozen.now)
    name = f"user:{user.pk}"
    assert entries(user) == [
        ("marketing", True, "api", name),
        ("data_processing", True, "api", name),
        ("data_processing", False, "api", name),
    ]


def test_consent_is_given_and_withdrawn_with_its_wording_and_address(frozen):
    user = make_user()
    given = ConsentService().give(
        purpose="marketing",
        wording="Send me offers.",
        source="preference_centre",
        ip="192.0.2.7",
        caller=own(user),
    )
    ConsentService().withdraw(purpose="marketing", source="one_click", caller=own(user))

    assert (given.wording, given.ip, given.at) == ("Send me offers.", "192.0.2.7", frozen.now)
    listed = ConsentService().list(caller=SYSTEM, identifier=user.pk)
    assert [(entry.granted, entry.source) for entry in listed] == [
        (True, "preference_centre"),
        (False, "one_click"),
    ]
    assert not UserNotificationPreference.objects.get(user=user).marketing_enabled


def test_an_unknown_purpose_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        ConsentService().give(
            purpose="world peace", wording="\x00", source=" ", caller=own(make_user())
        )

    assert [(e.path, e.code) for e in caught.value.errors] == [
        ("purpose", "invalid_choice"),
        ("wording", "invalid"),
        ("source", "invalid"),
    ]


def entry_of(user):
    return ConsentService().give(
        purpose="marketing", wording="Yes.", source="api", caller=own(user)
    )


def test_the_ledger_refuses_changes():
    row = ConsentRecord.objects.get(pk=entry_of(make_user()).id)

    for attempt in (
        row.save,
        row.delete,
        ConsentRecord.objects.all().delete,
        lambda: ConsentRecord.objects.update(granted=False),
    ):
        with pytest.raises(LedgerError, match="append-only"):
            attempt()


def test_the_database_refuses_changes_of_the_ledger():
    made = entry_of(make_user())

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("UPDATE notifications_consentrecord SET granted = NOT granted")
    if connection.vendor == "postgresql":
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM notifications_consentrecord")

    assert ConsentRecord.objects.get(pk=made.id).granted


def test_the_ledger_outlives_the_user():
    user = make_user()
    made = entry_of(user)
    delete_row(user.pk)

    assert ConsentRecord.objects.get(pk=made.id).purpose == "marketing"


def test_the_consent_of_many_users_is_set_in_a_few_statements(django_assert_max_num_queries):
    people = [make_user() for _ in range(20)]
    UserNotificationPreference.objects.create(user=people[0], data_processing_consent=True)
    UserNotificationPreference.objects.create(user=people[1], push_enabled=False)
    ids = [user.pk for user in people]

    with django_assert_max_num_queries(9):  # one reads the keys that seal the audit entries
        changed = set_consent_of(ids, granted=True, source="import", wording="Terms 3")

    assert changed == 19
    assert set_consent_of(ids, granted=True, source="import") == 0
    assert ConsentRecord.objects.filter(source="import", wording="Terms 3").count() == 19
    rows = UserNotificationPreference.objects.filter(data_processing_consent=True)
    assert rows.count() == 20
    assert not UserNotificationPreference.objects.get(user=people[1]).push_enabled
    assert set_consent_of(ids[:2], granted=False, source="import") == 2


# -- unsubscribing -----------------------------------------------------------------------------


def unsubscribe(user, **more):
    return PreferenceService().unsubscribe(caller=own(user), source="one_click", **more)


def test_unsubscribing_from_a_category_switches_off_every_channel_and_is_idempotent():
    user = make_user()

    assert unsubscribe(user, category="course") is True
    assert unsubscribe(user, category="course") is False

    row = NotificationCategoryPreference.objects.get(user=user)
    assert set(row.switches().values()) == {False}
    assert [entry[:3] for entry in entries(user)] == [("category:course", False, "one_click")]


def test_unsubscribing_can_switch_off_one_channel_only():
    user = make_user()

    unsubscribe(user, category="course", channels=["email"])

    row = NotificationCategoryPreference.objects.get(user=user)
    assert row.switches() == {"email": False}


def test_unsubscribing_from_marketing_clears_the_marketing_flag():
    user = make_user()
    change(user, marketing_enabled=True)

    unsubscribe(user, category="marketing")

    assert not UserNotificationPreference.objects.get(user=user).marketing_enabled


def test_unsubscribing_from_all_leaves_only_urgent_messages():
    user = make_user()
    change(user, marketing_enabled=True)

    assert unsubscribe(user) is True
    assert unsubscribe(user) is False

    row = UserNotificationPreference.objects.get(user=user)
    assert (row.notifications_enabled, row.marketing_enabled) == (False, False)
    assert entries(user)[-1][:2] == ("all", False)


def test_an_unknown_category_cannot_be_unsubscribed_from():
    with pytest.raises(InvalidRequest) as caught:
        unsubscribe(make_user(), category="nonsense")

    assert caught.value.code == "unknown_category"


def test_do_not_disturb_lasts_some_hours_and_can_be_ended(frozen):
    user = make_user()

    answer = PreferenceService().do_not_disturb(hours=1.5, caller=own(user))
    assert answer.overall.dnd_until == frozen.now + timedelta(minutes=90)
    answer = PreferenceService().do_not_disturb(hours=0, caller=own(user))
    assert answer.overall.dnd_until is None


@pytest.mark.parametrize("hours", [-1, 721, float("nan")])
def test_do_not_disturb_has_an_end(hours):
    with pytest.raises(InvalidRequest):
        PreferenceService().do_not_disturb(hours=hours, caller=own(make_user()))


def test_the_row_returns_what_was_chosen():
    until = datetime(2030, 5, 2, tzinfo=UTC)
    row = UserNotificationPreference.objects.create(
        user=make_user(),
        push_enabled=False,
        quiet_hours_enabled=True,
        dnd_until=until,
        digest_frequency="daily",
        timezone="Asia/Tokyo",
    )

    preferences = row.as_preferences()
    assert preferences.switches == {"push": False}
    assert (preferences.quiet, preferences.dnd_until) == ((time(22), time(8)), until)
    assert (preferences.digest, preferences.zone) == ("daily", "Asia/Tokyo")
