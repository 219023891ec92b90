"""What the state of a message adds to the counts of its cohort. Pure.

A change of a message adds the difference between its states after and before. So the counts of a
cohort are those of the present states of its messages, in whatever order changes were recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from notifications.domain import engagement
from notifications.domain.engagement import quarter_of
from notifications.domain.lifecycle import REACHED, MessageStatus

_S = MessageStatus

STATE_COUNTS = (
    "sent",
    "delivered",
    "failed",
    "bounced",
    "suppressed",
    "cancelled",
    "expired",
    "digested",
    "uncertain",
)
"""The counts that follow from the states of messages."""

REPORT_COUNTS = ("complained", "unsubscribed")
"""The counts of receipts that say what a person did: the values of their kinds."""

BIT_COUNTS = {
    "opened_human": engagement.OPEN_HUMAN,
    "opened_machine": engagement.OPEN_MACHINE,
    "opened_unknown": engagement.OPEN_UNKNOWN,
    "clicked_human": engagement.CLICK_HUMAN,
    "clicked_machine": engagement.CLICK_MACHINE,
    "clicked_unknown": engagement.CLICK_UNKNOWN,
    "converted": engagement.CONVERTED,
}
"""The counts that follow from the bits of engagement."""

COUNTS = (*STATE_COUNTS, *REPORT_COUNTS, *BIT_COUNTS)
"""All counts of a cohort, in the order of the columns."""

_NAMES: dict[str, tuple[str, ...]] = {
    _S.SENT: ("sent",),
    _S.DELIVERED: ("sent", "delivered"),
    _S.FAILED: ("failed",),
    _S.SUPPRESSED: ("suppressed",),
    _S.CANCELLED: ("cancelled",),
    _S.EXPIRED: ("expired",),
    _S.DIGESTED: ("digested",),
    _S.UNCERTAIN: ("uncertain",),
}
_BOUNCED = ("sent", "failed", "bounced")


class Cohort(NamedTuple):
    """What messages are grouped by, besides their quarter of an hour."""

    channel: str
    template_version_id: int | None
    provider: str
    source: str
    variant: str


class CountedState(NamedTuple):
    """What the counts include of one message."""

    quarter: datetime
    cohort: Cohort
    names: tuple[str, ...]


def names_of(status: str, *, was_sent: bool) -> tuple[str, ...]:
    """Returns the counts in which a message of this status is one; none while it waits.

    was_sent: whether a provider took it. A message that failed after that has bounced.
    """
    if status == _S.FAILED and was_sent:
        return _BOUNCED
    return _NAMES.get(status, ())


def counted_state(
    status: str, cohort: Cohort, *, sent_at: datetime | None, changed_at: datetime
) -> CountedState:
    """Returns what the counts include of a message.

    Its quarter is that of `sent_at`; that of `changed_at`, when it got its status, if it was not
    sent.
    """
    was_sent = sent_at is not None and (status in REACHED or status == _S.FAILED)
    moment = sent_at if was_sent and sent_at is not None else changed_at
    return CountedState(quarter_of(moment), cohort, names_of(status, was_sent=was_sent))


def bit_changes(flags: int, counted: int) -> Iterator[tuple[str, int]]:
    """Yields (count, +1 or -1) for each bit of engagement that differs."""
    for name, bit in BIT_COUNTS.items():
        if (flags ^ counted) & bit:
            yield name, 1 if flags & bit else -1
