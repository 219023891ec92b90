"""The lifecycle of a broadcast: its states, one table of transitions, and its counts.

At every instant recipients = sent + failed + suppressed + uncertain + cancelled + pending.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from notifications.domain.lifecycle import REACHED, MessageStatus


class BroadcastStatus(StrEnum):
    """How far a broadcast has come."""

    DRAFT = "draft"
    AWAITING_APPROVAL = "awaiting_approval"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    #: All messages are dispatched; receipts are outstanding.
    SENT = "sent"
    #: All results are final.
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_S = BroadcastStatus

TRANSITIONS: dict[BroadcastStatus, frozenset[BroadcastStatus]] = {
    _S.DRAFT: frozenset({_S.AWAITING_APPROVAL, _S.SCHEDULED, _S.SENDING, _S.CANCELLED}),
    _S.AWAITING_APPROVAL: frozenset({_S.DRAFT, _S.SCHEDULED, _S.SENDING}),
    _S.SCHEDULED: frozenset({_S.DRAFT, _S.AWAITING_APPROVAL, _S.SENDING, _S.CANCELLED}),
    _S.SENDING: frozenset({_S.PAUSED, _S.SENT, _S.COMPLETED, _S.FAILED, _S.CANCELLED}),
    _S.PAUSED: frozenset({_S.SENDING, _S.CANCELLED}),
    _S.SENT: frozenset({_S.COMPLETED, _S.FAILED, _S.SENDING}),
    _S.COMPLETED: frozenset({_S.SENDING}),
    _S.FAILED: frozenset({_S.SENDING}),
    _S.CANCELLED: frozenset(),
}
"""The states that may follow each one. From sent, completed and failed only a retry leads back."""

EDITABLE = frozenset({_S.DRAFT, _S.SCHEDULED})
LAUNCHABLE = frozenset({_S.DRAFT, _S.SCHEDULED, _S.AWAITING_APPROVAL})
OVER = frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED})


class RecipientState(StrEnum):
    """The result of one recipient."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"


_M = MessageStatus
_STATES: tuple[tuple[RecipientState, frozenset[MessageStatus]], ...] = (
    (RecipientState.SENT, REACHED),
    (RecipientState.PENDING, frozenset({_M.PENDING, _M.PROCESSING})),
    (RecipientState.UNCERTAIN, frozenset({_M.UNCERTAIN})),
    (RecipientState.FAILED, frozenset({_M.FAILED})),
    (RecipientState.CANCELLED, frozenset({_M.CANCELLED})),
    (RecipientState.SUPPRESSED, frozenset({_M.SUPPRESSED, _M.EXPIRED, _M.DIGESTED})),
)


def recipient_state(statuses: Iterable[str]) -> RecipientState:
    """Derives a recipient's state from the statuses of its messages.

    It is the first row of _STATES that contains one of them. Sent if any channel sent; failed if
    none did and one was attempted; suppressed if no provider was called, because of a policy, a
    digest or an expiry. Pending without messages.
    """
    there = {MessageStatus(status) for status in statuses}
    found = (state for state, members in _STATES if members & there)
    return next(found, RecipientState.PENDING)


def may_follow(current: str, target: str) -> bool:
    """Returns whether the table allows `current` -> `target`."""
    return BroadcastStatus(target) in TRANSITIONS[BroadcastStatus(current)]


def sources_of(target: BroadcastStatus) -> frozenset[BroadcastStatus]:
    """Returns the states from which `target` may follow, for the WHERE of its UPDATE."""
    return frozenset(state for state, targets in TRANSITIONS.items() if target in targets)


CANCELLABLE = sources_of(_S.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientCounts:
    """How many recipients are in each state."""

    total: int = 0
    sent: int = 0
    failed: int = 0
    suppressed: int = 0
    uncertain: int = 0
    cancelled: int = 0

    @property
    def pending(self) -> int:
        """Recipients without a result."""
        return self.total - (
            self.sent + self.failed + self.suppressed + self.uncertain + self.cancelled
        )

    @property
    def is_consistent(self) -> bool:
        """The invariant: no count is negative, and no recipient is counted twice."""
        counts = (self.sent, self.failed, self.suppressed, self.uncertain, self.cancelled)
        return min(*counts, self.total, self.pending) >= 0

    def progress_pct(self, status: str) -> int:
        """Returns (sent + failed + suppressed) / total in percent, rounded down.

        Without recipients 100 where the broadcast is completed, else 0.
        """
        if not self.total:
            return 100 if status == _S.COMPLETED else 0
        return (self.sent + self.failed + self.suppressed) * 100 // self.total


def status_when_settled(
    tally: RecipientCounts, *, receipts_outstanding: bool
) -> BroadcastStatus | None:
    """Returns the next status of a sending broadcast; None while recipients are pending.

    It is failed where all recipients failed. Uncertain recipients wait for a receipt or a person;
    until then the broadcast is sent, as with outstanding receipts.
    """
    if tally.pending:
        return None
    if tally.total and tally.failed == tally.total:
        return _S.FAILED
    if receipts_outstanding or tally.uncertain:
        return _S.SENT
    return _S.COMPLETED


def broadcast_diagram() -> str:
    """Returns the table as a Mermaid state diagram."""
    order = list(BroadcastStatus)
    lines = ["stateDiagram-v2", "    [*] --> draft"]
    for state, targets in TRANSITIONS.items():
        lines += [f"    {state} --> {target}" for target in sorted(targets, key=order.index)]
        if state in OVER:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)
