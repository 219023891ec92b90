"""Decisions about time never fail, whatever a row holds: years 1 to 9999, any zone, any text."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.moments import LATEST
from notifications.domain.digest_periods import digest_period
from notifications.domain.limits import caps_of
from notifications.domain.preferences import CategoryDefaults
from notifications.domain.quiet_hours import quiet_until
from notifications.domain.recurrence import next_after
from notifications.domain.recurrence_rule import InvalidRule, parse_rule
from notifications.domain.timing import Misfire, Occurrence, Timing
from notifications.domain.wall_clock import day_exists, first_zone, instant_of
from notifications.policy.decide import Defer, MessageFacts, decide
from notifications.policy.preference_state import PreferenceState
from notifications.policy.preference_text import (
    CategoryTerms,
    parse_category_choice,
    parse_preferences,
    read_preference_state,
)

EDGES = st.sampled_from(
    [
        datetime.min,
        datetime.min + timedelta(hours=1),
        datetime(1, 12, 31, 23, 59),
        datetime(1969, 12, 31, 23, 59, 59, 999_999),
        datetime(2199, 12, 31, 23, 59, 59, 999_999),
        datetime(2200, 1, 1),
        datetime(9999, 1, 1),
        datetime.max - timedelta(hours=1),
        datetime.max,
    ]
)
WALLS = EDGES | st.datetimes()
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ZONES = st.sampled_from(
    ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu", "Pacific/Apia", "Europe/Dublin"]
).map(ZoneInfo)
MOMENTS = st.builds(lambda wall, zone: wall.replace(tzinfo=zone), WALLS, OFFSETS | ZONES)
TIMES = st.times() | st.sampled_from([time.min, time.max])
RULES = st.sampled_from(
    [
        "FREQ=MINUTELY",
        "FREQ=HOURLY;INTERVAL=10000",
        "FREQ=DAILY",
        "FREQ=DAILY;COUNT=3",
        "FREQ=WEEKLY;BYDAY=MO;WKST=SU",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=YEARLY;BYDAY=53MO",
        "FREQ=YEARLY;INTERVAL=9000",
        "FREQ=YEARLY;UNTIL=99991231T235959Z",
        "FREQ=DAILY;UNTIL=00010101",
    ]
).map(parse_rule)


@given(now=MOMENTS, start=TIMES, end=TIMES, zone=OFFSETS | ZONES)
def test_quiet_hours_at_any_time(now, start, end, zone):
    until = quiet_until(now=now, start=start, end=end, zone=zone)
    assert until is None or until.tzinfo is UTC


@given(now=MOMENTS, zone=OFFSETS | ZONES)
def test_digests_at_any_time(now, zone):
    for frequency in ("hourly", "daily", "weekly"):
        digest_period(frequency=frequency, now=now, zone=zone)


@given(wall=WALLS, zone=OFFSETS | ZONES)
def test_walls_at_any_time(wall, zone):
    instant_of(wall, zone)
    day_exists(wall.date(), zone)


@given(rule=RULES, start=WALLS, after=MOMENTS, zone=ZONES)
def test_a_rule_at_any_time_ends_with_the_range(rule, start, after, zone):
    found = next_after(rule, start=start, zone=zone, after=after)
    assert found is None or found <= LATEST


@given(
    wall=st.none() | WALLS,
    instant=MOMENTS,
    rule=RULES,
    zone=ZONES,
    now=MOMENTS,
    misfire=st.sampled_from(Misfire),
    grace_s=st.integers(0, 2**31 - 1),
)
def test_a_timing_at_any_time(wall, instant, rule, zone, now, misfire, grace_s):
    timing = Timing(
        wall=wall,
        instant=None if wall else instant,
        rule=rule,
        misfire=misfire,
        grace=timedelta(seconds=grace_s),
    )
    first = timing.first_in(zone)
    timing.next_in(zone, after=now)
    timing.expires_at(first.at)
    timing.expires_at(instant)
    timing.last_missed(Occurrence(first.wall, instant), zone, now=min(now, instant))


@given(
    now=MOMENTS,
    dnd=st.none() | MOMENTS,
    quiet=st.none() | st.tuples(TIMES, TIMES),
    digest=st.sampled_from(["immediate", "hourly", "daily", "weekly", "never"]),
    expires=st.none() | MOMENTS,
    zones=st.lists(st.text(max_size=20) | st.just("Europe/Paris"), max_size=3),
)
def test_a_decision_at_any_time(now, dnd, quiet, digest, expires, zones):
    preferences = PreferenceState(
        quiet=quiet, dnd_until=dnd, digest=digest, zone=zones[0] if zones else ""
    )
    decide(
        MessageFacts(
            now=now,
            needs_contact=False,
            contact=None,
            user_id=1,
            expires_at=expires,
            preferences=preferences,
            zones=tuple(zones),
        )
    )


@pytest.mark.parametrize("until", [datetime.max, datetime(9999, 12, 31, 23, 59, 59), LATEST])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_a_user_muted_beyond_the_range_is_muted_until_its_end(until, zone):
    for quiet in (None, (time(22), time(8)), (time(0), time.max)):
        facts = MessageFacts(
            now=datetime(2030, 5, 1, tzinfo=UTC),
            needs_contact=False,
            contact=None,
            user_id=1,
            preferences=PreferenceState(
                quiet=quiet, dnd_until=until.replace(tzinfo=UTC), zone=zone
            ),
        )
        assert decide(facts) == Defer(LATEST, "do_not_disturb")


TEXTS = st.text(st.characters(codec=None), max_size=30)


@given(parts=st.lists(TEXTS | st.sampled_from(["1101101111", "22:00:00", "daily"]), max_size=9))
def test_any_text_of_preferences_is_read(parts):
    parse_preferences("|".join(parts))
    parse_category_choice("|".join(parts))
    terms = CategoryTerms("payment")
    read_preference_state("|".join(parts), "|".join(parts), "email", terms, default_consent=False)


@pytest.mark.parametrize(
    "dnd", ["infinity", "10000-01-01 00:00:00+00", "9999-12-31 23:59:59.9+00", "9999-12-31 24:00"]
)
def test_a_mute_that_python_has_no_value_for_lasts(dnd):
    text = f"1101111110||24:00:00|08:00:00|immediate|Europe|Paris|{dnd}"
    found = parse_preferences(text)
    assert found.dnd_until == LATEST
    assert found.zone == "Europe|Paris"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(raw=JSON | st.dictionaries(st.sampled_from(["sms_enabled", "digest_frequency"]), JSON))
def test_any_defaults_of_a_category_are_read(raw):
    assert CategoryDefaults.of(raw).digest in (
        "",
        "immediate",
        "hourly",
        "daily",
        "weekly",
        "never",
    )


@given(
    rows=JSON
    | st.lists(
        st.dictionaries(
            st.sampled_from(["limit", "window_s", "channel"]), JSON | st.integers(), min_size=2
        )
    )
)
def test_any_caps_of_a_category_are_read(rows):
    import json

    for cap in caps_of("payment", json.dumps(rows)):
        assert 0 < cap.window_s < 2**31


@given(text=TEXTS | st.text("FREQ=DAILY;UN0123456789", max_size=40))
def test_any_rule_is_read_or_refused(text):
    with contextlib.suppress(InvalidRule):
        parse_rule(text)


@given(names=st.lists(TEXTS, max_size=3))
def test_any_zone_is_known_or_passed_over(names):
    first_zone(*names)
