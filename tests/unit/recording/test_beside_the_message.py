"""What a record writes beside a message, derived from its outcomes alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import SendResult, Verdict
from notifications.models import BroadcastChange, ProviderCallback, StatusEvent
from notifications.recording import record
from notifications.recording.events import write_status_events
from notifications.recording.outcomes import Outcome, trails
from notifications.recording.reports import store_simulated_receipts

pytestmark = pytest.mark.once
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
FAILED = SendResult(Verdict.FAILED, error="no such person", error_code="unknown_user")
REPORTED = SendResult(Verdict.SENT, receipts=("delivered",))


def outcome(key: int = 1, **values: Any) -> Outcome:
    lease: Any = SimpleNamespace(source="broadcast:7", batch_id=1)
    message: Any = SimpleNamespace(id=key, notification_id=key + 100)
    sent: Any = SimpleNamespace(reference=f"r{key}", targets=(), recipient="a@x.example")
    return replace(
        Outcome(lease, message, MessageStatus.SENT, "", NOON, 1, outbound=sent), **values
    )


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"status": MessageStatus.SUPPRESSED, "trail": trails((NOON, "suppressed", "dnd"))}, "dnd"),
        (
            {
                "status": MessageStatus.SUPPRESSED,
                "trail": trails((NOON, "deferred", "digest"), (NOON, "suppressed", "no_consent")),
            },
            "no_consent",
        ),
        ({"status": MessageStatus.FAILED, "result": FAILED}, "unknown_user"),
        ({"status": MessageStatus.FAILED, "result": FAILED, "dead_code": "poison"}, "poison"),
        ({"status": MessageStatus.FAILED, "dead_code": "expired"}, "expired"),
        ({"status": MessageStatus.SENT, "result": SendResult(Verdict.SENT)}, ""),
    ],
)
def test_an_event_tells_the_last_reason(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], code: str
) -> None:
    written: list[StatusEvent] = []
    monkeypatch.setattr(StatusEvent.objects, "write", written.extend)
    write_status_events([outcome(2), outcome(**values)], took={1})
    assert [(row.message_id, row.code) for row in written] == [(1, code)]


def test_each_receipt_of_a_record_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those after a message that has none."""
    reported: list[str] = []
    monkeypatch.setattr(
        ProviderCallback.objects, "report", lambda **given: reported.append(given["name"])
    )
    store_simulated_receipts(
        [
            outcome(1),
            outcome(2, result=SendResult(Verdict.SENT)),
            outcome(3, result=REPORTED),
            outcome(4, result=REPORTED, outbound=None),
            outcome(5, result=REPORTED),
        ]
    )
    assert reported == ["r3 1", "r5 1"]


def test_a_broadcast_hears_of_what_is_settled_and_of_nothing_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[tuple[str, int]] = []
    monkeypatch.setattr(BroadcastChange.objects, "append", reported.extend)
    other: Any = SimpleNamespace(source="key:1", batch_id=1)
    outcomes = [
        outcome(1),
        outcome(2, status=MessageStatus.PENDING),
        outcome(3, lease=other),
        outcome(4),
    ]
    record._report_to_broadcasts(outcomes, {1, 2, 3})
    assert reported == [("broadcast:7", 101)]


def test_what_never_came_to_its_commit_was_not_committed() -> None:
    """No other table is read: the rows may belong to another record."""
    assert not record.was_committed(record.Recording([outcome()]), owner="w")
