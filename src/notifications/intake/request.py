"""The shapes of requests.

The structs are the public schema. The frozen dataclasses are requests that passed validation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from directory.references import PersonKey
from notifications.domain.messages import Attachment

MAX_RECIPIENTS = 10_000


class Throttle(msgspec.Struct, kw_only=True, omit_defaults=True):
    """At most `limit` messages with this key to a person, on a channel, in window_s seconds."""

    key: str
    window_s: int
    limit: int = 1


class AttachedFile(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A file that goes along with mails. content is base64."""

    filename: str
    content: str
    content_type: str = "application/octet-stream"


class SendOptions(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How a notification is sent.

    throttle: the message is suppressed where it would be one too many. dedupe_s: it is suppressed
    when one with its collapse_key left within so many seconds before.

    fallback: the channels that follow, each when the one before failed for good or is closed to
    the message; with fallback_after_s also when the notification was not read so long after.
    """

    bypass_preferences: bool = False
    track_opens: bool = True
    track_clicks: bool = True
    fallback: list[str] = []
    fallback_after_s: int = 0
    locale: str = ""
    provider: str = ""
    attachments: list[AttachedFile] = []
    reply_to: str = ""
    sender: str = ""
    throttle: Throttle | None = None
    dedupe_s: int = 0


class Address(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Somebody who is no user: exactly one of the fields."""

    email: str = ""
    phone: str = ""
    telegram_id: str = ""


class SendBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A notification for one user, or for one address (`to`).

    data (4 KB), link, image, icon, sound and badge go along on every channel that can carry them.
    """

    template_path: str
    user_id: str | int | None = None
    external_id: str | None = None
    to: Address | None = None
    channel: str | None = None
    channels: list[str] | None = None
    priority: int | str = 3
    category: str | None = None
    context: dict[str, Any] = {}
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    collapse_key: str | None = None
    ordering_key: str | None = None
    data: dict[str, Any] = {}
    link: str | None = None
    image: str | None = None
    icon: str | None = None
    sound: str | None = None
    badge: int | None = None
    options: SendOptions | None = None


class BulkRecipient(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One recipient of a bulk call: user_id or external_id says who."""

    user_id: str | int | None = None
    external_id: str | None = None
    channel: str | None = None
    context: dict[str, Any] = {}


class BulkBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The same notification for up to 10,000 users: each with a context of their own
    (`recipients`), or all of an audience. What goes along is the same for all."""

    template_path: str
    recipients: list[BulkRecipient] | None = None
    audience: dict[str, Any] | None = None
    channel: str | None = None
    channels: list[str] | None = None
    priority: int | str = 3
    category: str | None = None
    context: dict[str, Any] = {}
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    collapse_key: str | None = None
    data: dict[str, Any] = {}
    link: str | None = None
    image: str | None = None
    icon: str | None = None
    sound: str | None = None
    badge: int | None = None
    options: SendOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The validated fields that single and bulk requests share."""

    template_path: str
    channels: tuple[str, ...]
    priority: int | None
    category: str | None
    context: dict[str, Any]
    scheduled_at: datetime | None
    expires_at: datetime | None
    collapse_key: str | None
    ordering_key: str | None
    options: dict[str, Any] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    """A valid request for one recipient: a user, or an address that belongs to no user."""

    terms: Terms
    user: PersonKey | None
    address: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of a valid bulk request."""

    #: The place in the caller's list.
    index: int
    user: PersonKey
    channels: tuple[str, ...]
    context: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A recipient that was not accepted, with the reason."""

    index: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRequest:
    """A valid bulk request."""

    terms: Terms
    recipients: list[Recipient]
    #: The recipients that cannot be accepted.
    rejected: list[Rejection]
    total: int
    #: The audience that the caller gave instead of recipients; it is not parsed yet.
    audience: dict[str, Any] | None = None
