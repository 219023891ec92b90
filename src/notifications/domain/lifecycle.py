"""The states of a message, and the one table of allowed changes.

The diagram in docs/state-machine.md is generated from this table (`state_diagram`).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class MessageStatus(StrEnum):
    """The state of one notification on one channel."""

    PENDING = "pending"  # waits in a batch until due
    PROCESSING = "processing"  # derived: its id is in an open journal; never written to a row
    UNCERTAIN = "uncertain"  # may or may not have reached the provider
    SENT = "sent"  # the provider took it
    DELIVERED = "delivered"  # a receipt, or the channel itself, says it arrived
    FAILED = "failed"  # a final error, or the attempts are used up
    SUPPRESSED = "suppressed"  # policy said no; the reason is in the trail
    CANCELLED = "cancelled"  # it was cancelled before it was sent
    EXPIRED = "expired"  # its time to live ended before it was sent
    DIGESTED = "digested"  # folded into a digest message


_S = MessageStatus

TRANSITIONS: dict[MessageStatus, frozenset[MessageStatus]] = {
    _S.PENDING: frozenset(
        {
            _S.PENDING,  # retry or deferral: the same state in a new batch
            _S.SENT,
            _S.DELIVERED,  # channels that are rows deliver with the record
            _S.FAILED,
            _S.UNCERTAIN,
            _S.SUPPRESSED,
            _S.CANCELLED,
            _S.EXPIRED,
            _S.DIGESTED,
        }
    ),
    _S.PROCESSING: frozenset(),
    _S.UNCERTAIN: frozenset({_S.SENT, _S.DELIVERED, _S.FAILED, _S.PENDING, _S.CANCELLED}),
    _S.SENT: frozenset({_S.DELIVERED, _S.FAILED}),  # failed: a receipt said so
    _S.DELIVERED: frozenset(),
    _S.FAILED: frozenset({_S.PENDING, _S.SENT, _S.DELIVERED}),  # replay, or a late receipt
    _S.SUPPRESSED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.DIGESTED: frozenset(),
}

UNSETTLED = frozenset({_S.PENDING, _S.PROCESSING, _S.UNCERTAIN})
"""States that are not final."""

REACHED = frozenset({_S.SENT, _S.DELIVERED})

BEST_FIRST = (
    _S.DELIVERED,
    _S.SENT,
    _S.PROCESSING,
    _S.PENDING,
    _S.UNCERTAIN,
    _S.FAILED,
    _S.DIGESTED,
    _S.SUPPRESSED,
    _S.EXPIRED,
    _S.CANCELLED,
)
"""A notification's own status is that of its best message."""


def sources_of(target: MessageStatus) -> frozenset[MessageStatus]:
    """Returns the states from which `target` may follow, for the statement that writes it."""
    return frozenset(state for state, targets in TRANSITIONS.items() if target in targets)


def may_follow(current: MessageStatus, target: MessageStatus) -> bool:
    """Returns whether the table allows `current` -> `target`."""
    return target in TRANSITIONS[current]


def best_status(statuses: Iterable[str]) -> MessageStatus:
    """Returns the status of a notification, given those of its messages.

    Raises:
        ValueError: when there is none.
    """
    return min((MessageStatus(status) for status in statuses), key=BEST_FIRST.index)


def state_diagram() -> str:
    """Returns the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> pending"]
    for state, targets in TRANSITIONS.items():
        lines += [f"    {state} --> {target}" for target in sorted(targets, key=BEST_FIRST.index)]
        if not targets and state is not _S.PROCESSING:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)
