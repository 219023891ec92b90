"""The events of status webhooks, and the times of their retries."""

from __future__ import annotations

from datetime import timedelta

from notifications.domain.lifecycle import MessageStatus

_REPORTED = (
    MessageStatus.SENT,
    MessageStatus.DELIVERED,
    MessageStatus.FAILED,
    MessageStatus.UNCERTAIN,
    MessageStatus.SUPPRESSED,
    MessageStatus.CANCELLED,
    MessageStatus.EXPIRED,
    MessageStatus.DIGESTED,
)
_FACTS = ("complained", "unsubscribed")

DEAD_LETTERS_ALERT = "dead_letters.alert"
"""More dead letters wait than the limit of the service. It belongs to no single message."""

KINDS = (*(f"message.{name}" for name in (*_REPORTED, *_FACTS)), DEAD_LETTERS_ALERT)
"""The events that an endpoint can subscribe to."""

KIND_OF: dict[str, str] = {status: f"message.{status}" for status in _REPORTED}
"""The event of each status; pending is none."""

KIND_OF_FACT: dict[str, str] = {fact: f"message.{fact}" for fact in _FACTS}

RETRIES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
)
"""The waits after each failed attempt, as Standard Webhooks recommends. Ten attempts in all."""

DISABLED_AFTER = timedelta(days=5)
"""An endpoint that accepted nothing for so long is disabled."""

_LONGEST_PAUSE_S = 300


def pause_after(failures: int) -> timedelta:
    """Returns how long an endpoint is paused after so many failed rounds in a row."""
    return timedelta(seconds=min(5 * 2 ** min(max(failures - 1, 0), 10), _LONGEST_PAUSE_S))
