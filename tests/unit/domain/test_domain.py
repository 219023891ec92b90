"""The vocabulary and the law of states."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as some

from notifications.delivery.registry import VENDORS, is_row_provider
from notifications.domain.channels import ROW_CHANNELS, Lane, Priority, lane_for, parse_priority
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.identifiers import key_of, parse_identifier, public_id
from notifications.domain.lifecycle import (
    BEST_FIRST,
    TRANSITIONS,
    MessageStatus,
    best_status,
    may_follow,
    sources_of,
    state_diagram,
)
from notifications.domain.messages import reference_to, tag_of
from notifications.models.delivery.batch import pack_keys, unpack_keys
from notifications.queue.lanes import LaneRotation


@pytest.mark.parametrize(
    ("word", "priority"),
    [("critical", 1), ("Urgent", 1), ("high", 2), ("normal", 3), ("medium", 3), ("low", 4), (2, 2)],
)
def test_priority_words_map_once_for_all(word, priority):
    assert parse_priority(word) == priority


@pytest.mark.parametrize("wrong", [0, 5, "soon", "2", True, None])
def test_what_is_no_priority_is_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        parse_priority(wrong)


def test_mass_sends_go_to_bulk_unless_high():
    assert lane_for(Priority.MEDIUM) is Lane.DEFAULT
    assert lane_for(Priority.MEDIUM, mass=True) is Lane.BULK
    assert lane_for(Priority.HIGH, mass=True) is Lane.HIGH


def test_delivered_never_falls_back():
    assert TRANSITIONS[MessageStatus.DELIVERED] == frozenset()
    assert may_follow(MessageStatus.SENT, MessageStatus.DELIVERED)
    assert not may_follow(MessageStatus.DELIVERED, MessageStatus.SENT)


def test_nothing_leads_into_processing_because_it_is_derived():
    assert sources_of(MessageStatus.PROCESSING) == frozenset()
    assert "processing -->" not in state_diagram()


def test_a_notifications_status_is_its_best_messages():
    assert best_status(["failed", "sent", "pending"]) == "sent"
    assert set(BEST_FIRST) == set(MessageStatus)
    with pytest.raises(ValueError, match="empty"):
        best_status([])


@given(some.integers(1, 2**62 - 1), some.integers(0, 2**48 - 1), some.integers(0, 4095))
def test_a_public_id_carries_its_key_and_is_a_version_7_uuid(key, at_ms, salt):
    made = public_id(key, at_ms, salt)
    assert key_of(made) == key
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == at_ms


def test_a_foreign_uuid_carries_no_key():
    assert key_of(uuid4()) is None


@pytest.mark.parametrize(
    ("given_", "read"),
    [
        (5, 5),
        ("5", 5),
        (" 5 ", 5),
        ("00000000-0000-0000-0000-000000000001", UUID(int=1)),
        ("3-7", None),
        ("", None),
        (0, None),
        (-1, None),
        (True, None),
        (None, None),
        ("9" * 30, None),
    ],
)
def test_identifiers(given_, read):
    assert parse_identifier(given_) == read


@given(some.sets(some.integers(1, 10_000)))
def test_packed_keys_come_back(keys):
    assert unpack_keys(pack_keys(keys)) == sorted(keys)


def test_one_error_gives_its_code_and_several_a_common_one():
    one = InvalidRequest([FieldError("a", "x", "d")])
    two = InvalidRequest([FieldError("a", "x", "d"), FieldError("b", "y", "e")])
    assert (one.code, two.code) == ("x", "invalid_request")
    assert two.detail == "a: d; b: e"


def test_every_lane_has_its_share_of_turns_also_before_critical():
    turns = LaneRotation(list(Lane))
    orders = [turns.order() for _ in range(16)]
    firsts = [order[0] for order in orders]
    assert {lane: firsts.count(lane) for lane in Lane} == {
        Lane.CRITICAL: 8,
        Lane.HIGH: 4,
        Lane.DEFAULT: 2,
        Lane.BULK: 2,
    }
    assert all(sorted(order) == sorted(Lane) for order in orders)
    assert LaneRotation([Lane.HIGH]).order() == [Lane.HIGH]


def test_the_row_channels_are_those_that_a_row_provider_carries():
    carried = {
        channel
        for vendor in VENDORS
        if vendor.send and vendor.key != "sandbox" and is_row_provider(vendor.key)
        for channel in vendor.channels
    }
    assert carried == ROW_CHANNELS


def test_a_push_is_shown_under_its_collapse_key_or_the_name_of_its_notification():
    uuid = uuid4()
    assert reference_to(uuid, "push") == reference_to(uuid.hex, "push") == f"{uuid.hex}.push"
    assert tag_of(reference_to(uuid, "push"), None) == uuid.hex
    assert tag_of(reference_to(uuid, "push"), "order-5") == "order-5"
