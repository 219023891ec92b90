"""The states of a series and of the people in it, and who may enter."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum


class MailSeriesStatus(StrEnum):
    """How far a series has come."""

    DRAFT = "draft"
    LIVE = "live"
    #: People still enter it, and no mail is sent.
    PAUSED = "paused"
    ENDED = "ended"


_S = MailSeriesStatus

TRANSITIONS: dict[MailSeriesStatus, frozenset[MailSeriesStatus]] = {
    _S.DRAFT: frozenset({_S.LIVE}),
    _S.LIVE: frozenset({_S.PAUSED, _S.ENDED}),
    _S.PAUSED: frozenset({_S.LIVE, _S.ENDED}),
    _S.ENDED: frozenset(),
}
"""The states that may follow each one."""

OPEN = frozenset({_S.LIVE, _S.PAUSED})
"""The states in which people enter a series."""


class SeriesTrigger(StrEnum):
    """What makes a person enter a series."""

    #: They are on a mailing list, after the confirmation where the list needs one.
    LIST = "list"
    #: An event of theirs was reported.
    EVENT = "event"
    #: A date in their attributes has come, or will come in some days.
    DATE = "date"


class EnrollmentState(StrEnum):
    """Where a person is in a series."""

    WAITING = "waiting"
    #: They were sent the last mail.
    COMPLETED = "completed"
    #: They left it before the last mail.
    EXITED = "exited"
    #: They get nothing, so that an effect can be measured.
    HELD_OUT = "held_out"


class ExitReason(StrEnum):
    """Why a person left a series before its last mail."""

    #: They left the list, or closed the category or the channel.
    UNSUBSCRIBED = "unsubscribed"
    GOAL_REACHED = "goal_reached"
    #: Their account is not active.
    INACTIVE = "inactive"
    #: Their address is suppressed.
    BLOCKED = "blocked"
    SERIES_ENDED = "series_ended"


def may_become(current: str, target: MailSeriesStatus) -> bool:
    """Returns whether the table allows `current` -> `target`."""
    return target in TRANSITIONS[MailSeriesStatus(current)]


def may_enter_again(state: str, passed: timedelta, *, after_days: int | None) -> bool:
    """Returns whether a person who was in a series before may enter it once more.

    Args:
        state: that of their latest time in it.
        passed: from then to the trigger of now; between two dates where dates are the trigger.
        after_days: how many days must be between two entries; None for never again.
    """
    if after_days is None or state == EnrollmentState.WAITING:
        return False
    return passed >= timedelta(days=after_days)
