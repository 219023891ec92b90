"""The states of a broadcast and the arithmetic of its recipients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.broadcast_lifecycle import (
    CANCELLABLE,
    EDITABLE,
    LAUNCHABLE,
    OVER,
    TRANSITIONS,
    BroadcastStatus,
    RecipientCounts,
    broadcast_diagram,
    may_follow,
    sources_of,
    status_when_settled,
)

S = BroadcastStatus
COUNTS = ("sent", "failed", "suppressed", "uncertain", "cancelled")


def test_every_state_has_a_row_in_the_table_and_is_reachable():
    assert set(TRANSITIONS) == set(S)
    reached = {target for targets in TRANSITIONS.values() for target in targets}
    assert reached | {S.DRAFT} == set(S)


def test_which_states_can_be_cancelled_edited_and_launched():
    assert {S.DRAFT, S.SCHEDULED, S.SENDING, S.PAUSED} == CANCELLABLE
    assert {S.DRAFT, S.SCHEDULED} == EDITABLE
    assert {S.DRAFT, S.SCHEDULED, S.AWAITING_APPROVAL} == LAUNCHABLE
    assert all(may_follow(state, S.SENDING) for state in LAUNCHABLE)
    assert not any(may_follow(S.CANCELLED, state) for state in S)


def test_only_a_retry_leads_back_from_an_end_state():
    assert sources_of(S.SENDING) - LAUNCHABLE == {S.PAUSED, S.SENT, S.COMPLETED, S.FAILED}
    assert {S.COMPLETED, S.FAILED, S.CANCELLED} == OVER


@given(st.fixed_dictionaries({name: st.integers(0, 50) for name in (*COUNTS, "more")}))
def test_the_counts_add_up_to_the_total(counts):
    more = counts.pop("more")
    tally = RecipientCounts(total=sum(counts.values()) + more, **counts)
    assert tally.pending == more
    assert tally.is_consistent
    for status in S:
        assert 0 <= tally.progress_pct(status) <= 100


@pytest.mark.parametrize(
    "counts", [{"total": 1, "sent": 2}, {"total": 2, "sent": 3, "failed": -1}, {"total": -1}]
)
def test_impossible_counts_are_detected(counts):
    assert not RecipientCounts(**counts).is_consistent


@pytest.mark.parametrize(
    ("counts", "percent"),
    [
        ({"total": 100, "sent": 45, "failed": 5}, 50),
        ({"total": 3, "sent": 1, "suppressed": 1}, 66),
        ({"total": 500, "sent": 450, "failed": 40}, 98),
        ({"total": 4, "sent": 1, "uncertain": 1, "cancelled": 2}, 25),
        ({"total": 0}, 0),
    ],
)
def test_progress_is_rounded_down(counts, percent):
    assert RecipientCounts(**counts).progress_pct(S.SENDING) == percent


def test_a_completed_broadcast_without_recipients_is_at_100_percent():
    assert RecipientCounts().progress_pct(S.COMPLETED) == 100


@pytest.mark.parametrize(
    ("counts", "outstanding", "status"),
    [
        ({"total": 2, "sent": 1}, False, None),
        ({"total": 2, "sent": 2}, False, S.COMPLETED),
        ({"total": 2, "sent": 2}, True, S.SENT),
        ({"total": 2, "sent": 1, "failed": 1}, False, S.COMPLETED),
        ({"total": 2, "failed": 2}, False, S.FAILED),
        ({"total": 2, "failed": 1, "suppressed": 1}, False, S.COMPLETED),
        ({"total": 2, "sent": 1, "uncertain": 1}, False, S.SENT),
        ({"total": 0}, False, S.COMPLETED),
    ],
)
def test_how_a_broadcast_ends_follows_from_its_recipients(counts, outstanding, status):
    assert (
        status_when_settled(RecipientCounts(**counts), receipts_outstanding=outstanding) is status
    )


def test_the_diagram_is_generated_from_the_table():
    lines = broadcast_diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> draft"]
    assert "    paused --> sending" in lines
    assert "    cancelled --> [*]" in lines
    arrows = sum(len(targets) for targets in TRANSITIONS.values())
    assert len(lines) == 2 + arrows + len(OVER)
