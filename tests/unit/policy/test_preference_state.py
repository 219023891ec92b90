"""How defaults and preferences inherit, and how they come from stored text."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from notifications.domain.preferences import CategoryDefaults, EffectivePreferences
from notifications.policy.facts import Stops
from notifications.policy.preference_state import PreferenceState, build_preference_state
from notifications.policy.preference_text import (
    CategoryTerms,
    parse_category_choice,
    parse_preferences,
    read_preference_state,
)

ON, OFF = True, False


@pytest.mark.parametrize(
    ("channel", "default", "general", "own", "expected"),
    [
        # the service's default, the category's, the person's in general, theirs for the category
        ("email", None, None, None, (ON, ON)),
        ("sms", None, None, None, (OFF, ON)),
        ("sms", ON, None, None, (ON, ON)),
        ("email", OFF, None, None, (OFF, ON)),
        ("email", OFF, ON, None, (ON, ON)),
        ("sms", ON, OFF, None, (OFF, ON)),
        ("sms", None, ON, None, (ON, ON)),
        ("sms", None, None, ON, (ON, ON)),
        ("email", OFF, None, ON, (ON, ON)),
        ("sms", None, OFF, ON, (OFF, ON)),
        ("email", None, None, OFF, (ON, OFF)),
        ("email", None, ON, OFF, (ON, OFF)),
        ("webhook", None, None, None, (ON, ON)),
        ("chat", OFF, OFF, None, (ON, ON)),
    ],
)
def test_switches_inherit(channel, default, general, own, expected):
    state = build_preference_state(
        channel,
        EffectivePreferences(switches={} if general is None else {channel: general}),
        own=None if own is None else {channel: own},
        defaults=CategoryDefaults({} if default is None else {channel: default}),
    )

    assert (state.channel_on, state.category_on) == expected


@pytest.mark.parametrize(
    ("default", "chosen", "expected"),
    [("", "", "immediate"), ("daily", "", "daily"), ("daily", "immediate", "immediate"),
     ("", "weekly", "weekly")],
)  # fmt: skip
def test_the_digest_frequency_inherits(default, chosen, expected):
    state = build_preference_state(
        "email", EffectivePreferences(digest=chosen), defaults=CategoryDefaults(digest=default)
    )

    assert state.digest == expected


def test_category_defaults_are_read_from_their_json():
    raw = {"sms_enabled": True, "email_enabled": False, "digest_frequency": "weekly", "x": 1}

    assert CategoryDefaults.of(raw) == CategoryDefaults({"sms": True, "email": False}, "weekly")


def test_preferences_are_read_from_their_text():
    text = "1011001111|sms_enabled digest_frequency|23:15:00|06:00:00|immediate|Asia/Tokyo|"
    text += "2030-05-01 12:00:00.5"

    assert parse_preferences(text) == EffectivePreferences(
        consent=True,
        notifications_enabled=False,
        marketing_enabled=True,
        switches={"email": False, "sms": False},
        quiet=(time(23, 15), time(6)),
        dnd_until=datetime(2030, 5, 1, 12, 0, 0, 500_000, tzinfo=UTC),
        digest="immediate",
        zone="Asia/Tokyo",
    )


def test_a_row_of_defaults_sets_nothing():
    text = "0101101110||22:00:00|08:00:00|immediate||"

    assert parse_preferences(text) == EffectivePreferences()


def test_a_moment_with_an_offset_keeps_it():
    text = "0101101110||22:00:00|08:00:00|daily||2030-05-01 12:00:00+00"

    found = parse_preferences(text)
    assert (found.dnd_until, found.digest) == (datetime(2030, 5, 1, 12, tzinfo=UTC), "daily")


def test_own_switches_are_those_that_were_chosen():
    assert parse_category_choice("110111|") == {}
    assert parse_category_choice("110111|email_enabled") == {"email": True}
    assert parse_category_choice("011111|") == {"push": False, "sms": True}


def test_who_said_nothing_has_the_default_consent():
    terms = CategoryTerms("course", defaults='{"email_enabled": false}')

    assert read_preference_state("", "", "push", terms, True) == PreferenceState(consent=True)
    assert read_preference_state("", "", "email", terms, False) == PreferenceState(channel_on=False)
    assert (
        read_preference_state("", "110111|email_enabled", "email", terms, False)
        == PreferenceState()
    )


def test_without_a_stop_nothing_is_covered():
    message = dict.fromkeys(("channel", "provider", "category", "template", "source"), "")
    assert Stops().covering(**message) == ""
    assert Stops.of([("all", "")]).covering(**message) == "all"
