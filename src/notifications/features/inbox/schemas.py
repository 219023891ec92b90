"""Bodies and responses of the inbox."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from notifications.infra.field_types import NextPage, PreviousPage, choice

MOST_IDS = 100
BULK_ACTIONS = ("read", "unread", "archive", "unarchive")
PublicIds = Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=MOST_IDS)]


class InboxItem(msgspec.Struct, kw_only=True):
    """A notification in the inbox."""

    id: UUID
    """The public id of the notification."""

    title: str
    """Plain text. Example: `Payment received`"""

    body: str
    """Plain text. Example: `We have received 29.99 EUR.`"""

    data: dict[str, Any]
    """What the sender attached, such as a link. Example: `{"url": "/orders/7"}`"""

    category: str
    """The key of its category. Example: `payment`"""

    priority: int
    """1 (critical) to 4 (low). Example: `3`"""

    created_at: datetime
    """When it arrived."""

    seq: int
    """Its position among the events of its person. Example: `17`"""

    read_at: datetime | None = None
    """When it was read; null while it is unread."""

    archived_at: datetime | None = None
    """When it was archived; null while it is not."""

    snoozed_until: datetime | None = None
    """When its snooze ends; null while it is not snoozed."""

    seen_at: datetime | None = None
    """When a visible document showed it first; null before that."""


class InboxPage(msgspec.Struct, kw_only=True):
    """A page of the inbox, the newest first. Page, number and position are of one snapshot."""

    results: list[InboxItem]
    """The notifications of this page."""

    unread: int
    """How many notifications of the whole inbox are unread. Example: `3`"""

    epoch: str
    """Another text than before means that the service was restored: fetch everything again.
    Example: `5f0c1d2e`"""

    seq: int
    """The position of the page: live events go on after it. Example: `19`"""

    searched_until: datetime | None = None
    """With `search`: notifications that arrived before this time were not searched."""

    next: NextPage = None
    previous: PreviousPage = None


class UnreadResponse(msgspec.Struct, kw_only=True):
    """How many notifications are unread."""

    unread: int
    """Neither read, archived, snoozed nor retracted. Example: `3`"""

    epoch: str
    """As in the inbox. Example: `5f0c1d2e`"""

    seq: int
    """The position at which the number was right. Example: `19`"""


class SnoozeBody(msgspec.Struct, kw_only=True):
    """A snooze."""

    until: datetime
    """When it ends: within a year. The notification is unread then. Example:
    `2030-05-01T09:00:00Z`"""


class ReadAllBody(msgspec.Struct, kw_only=True):
    """Which notifications are read; without any field, all unread ones."""

    up_to: int | None = None
    """Only those up to this position, so that what arrived since stays unread. Example: `19`"""

    category: str = ""
    """Only those of the category with this key. Example: `payment`"""


class BulkActionBody(msgspec.Struct, kw_only=True):
    """One action on many notifications. Ids that are not in the inbox are ignored."""

    ids: PublicIds
    """1 to 100 public ids."""

    action: Annotated[str, choice("InboxAction", BULK_ACTIONS, "What is done.")]


class SeenBody(msgspec.Struct, kw_only=True):
    """What a visible document showed."""

    ids: PublicIds
    """1 to 100 public ids."""


class ChangedResponse(msgspec.Struct, kw_only=True):
    """What an action changed."""

    changed: int
    """How many notifications changed; others were so already. Example: `4`"""

    unread: int
    """How many are unread now. Example: `0`"""

    seq: int
    """The position after the change. Example: `20`"""


class TicketResponse(msgspec.Struct, kw_only=True):
    """A ticket for the stream of events."""

    ticket: str
    """For `?ticket=` of the stream. It opens this user's stream, and nothing else. Example:
    `WzcsMTc2NDUwMDAwMC4wXQ:1vPZ:Qm8`"""

    expires_at: datetime
    """When it ends: after ten minutes."""
