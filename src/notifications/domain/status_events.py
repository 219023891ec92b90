"""What the platform can be told of a message, and when it is told again."""

from __future__ import annotations

from datetime import timedelta

from notifications.domain.lifecycle import MessageStatus

_TOLD = (
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
"""More dead letters wait than the service's limit; of no one message."""

KINDS = (*(f"message.{name}" for name in (*_TOLD, *_FACTS)), DEAD_LETTERS_ALERT)
"""The events that an endpoint can subscribe to."""

KIND_OF: dict[str, str] = {status: f"message.{status}" for status in _TOLD}
"""The event of each status; pending is none."""

KIND_OF_FACT: dict[str, str] = {fact: f"message.{fact}" for fact in _FACTS}

RETRIES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
)
"""The waits after each failed try: those that Standard Webhooks recommends. Ten tries in all."""

DISABLED_AFTER = timedelta(days=5)
"""An endpoint that has taken nothing for so long is switched off."""

_LONGEST_HOLD_S = 300


def pause_after(failures: int) -> timedelta:
    """How long an endpoint is left alone after so many failed rounds in a row."""
    return timedelta(seconds=min(5 * 2 ** min(max(failures - 1, 0), 10), _LONGEST_HOLD_S))
