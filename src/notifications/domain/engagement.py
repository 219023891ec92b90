"""What is known about the engagement with one message, as bits. Pure.

`NotificationAnalytics.flags` has the bits of a message; `counted` has those that the rollups
already include. A message that a person and a scanner opened has both bits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

OPEN_HUMAN = 1
OPEN_MACHINE = 2
OPEN_UNKNOWN = 4
CLICK_HUMAN = 8
CLICK_MACHINE = 16
CLICK_UNKNOWN = 32
CONVERTED = 64
REPORTED_OPEN = 128
REPORTED_CLICK = 256
"""A caller of the documented service vouches for the open or the click of a person."""

QUARTER_S = 900
"""The seconds of a quarter of an hour, the unit of the rollups."""


class EventKind(StrEnum):
    """What was requested: the pixel, a link, or the link that no person can see."""

    OPEN = "open"
    CLICK = "click"
    HONEYPOT = "honeypot"


class Actor(StrEnum):
    """Who made a request, as far as its evidence says."""

    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"


_BITS: dict[tuple[str, str], int] = {
    (EventKind.OPEN, Actor.HUMAN): OPEN_HUMAN,
    (EventKind.OPEN, Actor.MACHINE): OPEN_MACHINE,
    (EventKind.OPEN, Actor.UNKNOWN): OPEN_UNKNOWN,
    (EventKind.CLICK, Actor.HUMAN): CLICK_HUMAN,
    (EventKind.CLICK, Actor.MACHINE): CLICK_MACHINE,
    (EventKind.CLICK, Actor.UNKNOWN): CLICK_UNKNOWN,
}


def bit_of(kind: str, actor: str) -> int:
    """Returns the bit of an event. The hidden link is evidence, and counts for nothing: 0."""
    return _BITS.get((kind, actor), 0)


def quarter_of(moment: datetime) -> datetime:
    """Returns the beginning, in UTC, of the quarter of an hour that has this moment."""
    seconds = int(moment.timestamp()) // QUARTER_S * QUARTER_S
    return datetime.fromtimestamp(seconds, UTC)
