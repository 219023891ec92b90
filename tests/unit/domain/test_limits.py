"""Limits: at most so many in a sliding window, each message once."""

from __future__ import annotations

import pytest

from notifications.domain.limits import (
    Entry,
    Limit,
    caps_of,
    is_spent,
    limits_of_options,
    pack_entries,
    recent,
    unpack_entries,
)

TWO_A_MINUTE = Limit("category:course", "", 60, 2, "frequency_cap:course")


def spent(entries, *, now_ms=100_000, message_id=9):
    return is_spent(entries, TWO_A_MINUTE, now_ms=now_ms, message_id=message_id)


def test_a_limit_is_spent_when_its_window_is_full():
    assert not spent([])
    assert not spent([Entry(99_000, 1)])
    assert spent([Entry(99_000, 1), Entry(99_500, 2)])


def test_the_window_slides():
    full = [Entry(41_000, 1), Entry(99_000, 2)]

    assert spent(full, now_ms=100_999)
    assert not spent(full, now_ms=101_000)
    assert recent(full, TWO_A_MINUTE, 101_000) == [Entry(99_000, 2)]


def test_a_message_that_was_counted_is_never_one_too_many():
    assert not spent([Entry(99_000, 1), Entry(99_500, 9)])


def test_entries_survive_being_stored():
    entries = [Entry(1, 2), Entry(3, 4)]

    assert pack_entries(entries) == "1:2 3:4"
    assert unpack_entries(pack_entries(entries)) == entries
    assert unpack_entries("") == []


def test_caps_are_read_from_their_json():
    caps = caps_of("course", '[{"limit": 3, "window_s": 60, "channel": "email"}]')

    assert caps == (Limit("category:course", "email", 60, 3, "frequency_cap:course"),)
    assert caps_of("course", "") == ()


@pytest.mark.parametrize("collapse_key", [None, "balance"])
def test_a_sender_sets_throttles_and_dedupe_windows(collapse_key):
    options = {"throttle": {"key": "ads", "window_s": 60}, "dedupe_s": 30}

    limits = limits_of_options(options, channel="push", collapse_key=collapse_key)

    dedupe = Limit("dedupe:balance", "push", 30, 1, "duplicate:balance")
    throttle = Limit("throttle:ads", "push", 60, 1, "throttled:ads")
    assert limits == ((throttle, dedupe) if collapse_key else (throttle,))
    assert limits_of_options({}, channel="push", collapse_key=collapse_key) == ()
