"""Channels, priorities and lanes: the fixed vocabulary of delivery."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Channel(StrEnum):
    """A way to reach a person or a system."""

    PUSH = "push"
    EMAIL = "email"
    SMS = "sms"
    WEBSOCKET = "websocket"
    IN_APP = "in_app"
    TELEGRAM = "telegram"
    WEBHOOK = "webhook"
    CHAT = "chat"


class Priority(IntEnum):
    """How urgent a notification is; the smaller number goes first."""

    CRITICAL = 1
    HIGH = 2
    MEDIUM = 3
    LOW = 4


class Lane(StrEnum):
    """The queue a batch waits in. Order of declaration is order of service."""

    CRITICAL = "critical"
    HIGH = "high"
    DEFAULT = "default"
    BULK = "bulk"


PRIORITY_WORDS = {
    "critical": Priority.CRITICAL,
    "urgent": Priority.CRITICAL,
    "high": Priority.HIGH,
    "normal": Priority.MEDIUM,
    "medium": Priority.MEDIUM,
    "low": Priority.LOW,
}
LANE_OF_PRIORITY = {
    Priority.CRITICAL: Lane.CRITICAL,
    Priority.HIGH: Lane.HIGH,
    Priority.MEDIUM: Lane.DEFAULT,
    Priority.LOW: Lane.BULK,
}

PERSON_CHANNELS = (
    Channel.PUSH,
    Channel.EMAIL,
    Channel.SMS,
    Channel.WEBSOCKET,
    Channel.IN_APP,
    Channel.TELEGRAM,
)
"""Channels that a person can switch on and off. Webhooks and chats belong to systems and groups."""

CONTACT_KIND_OF_CHANNEL = {
    Channel.EMAIL: "email",
    Channel.SMS: "phone",
    Channel.TELEGRAM: "telegram",
    Channel.PUSH: "push",
    Channel.WEBHOOK: "webhook",
    Channel.CHAT: "chat",
}
"""The kind of contact point that a channel needs. in_app and websocket need only the user."""

ROW_CHANNELS = frozenset({Channel.IN_APP, Channel.WEBSOCKET})
"""Channels that are rows of our own database. The transaction that records a message delivers it.
After a crash before the commit, the message was therefore not delivered."""

ADDRESS_CHANNELS = {"email": Channel.EMAIL, "phone": Channel.SMS, "telegram_id": Channel.TELEGRAM}
"""Keys of `to` in a send to an address that is no user, and the channel each one means."""

KIND_OF_ADDRESS = {
    name: CONTACT_KIND_OF_CHANNEL[channel] for name, channel in ADDRESS_CHANNELS.items()
}
"""The same keys, and the kind of contact point each one means."""


def parse_priority(value: int | str) -> Priority:
    """Returns a Priority from 1..4 or a priority word.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, str) and value.lower() in PRIORITY_WORDS:
        return PRIORITY_WORDS[value.lower()]
    if isinstance(value, bool | str):
        raise ValueError(f"{value!r} is not a priority")
    return Priority(value)


def lane_for(priority: Priority, *, mass: bool = False) -> Lane:
    """Returns the lane of a priority. Mass sends (broadcasts, campaigns) go to bulk unless high."""
    return Lane.BULK if mass and priority > Priority.HIGH else LANE_OF_PRIORITY[priority]
