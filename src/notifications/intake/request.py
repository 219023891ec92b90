"""The schemas of send requests, and the requests that passed validation.

A schema has no default where leaving the field out means something else: generated clients send
every default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from directory.references import PersonKey
from notifications.domain.messages import Attachment
from notifications.infra.field_types import (
    Badge,
    CategoryKey,
    ChannelChoiceName,
    ChannelName,
    ExternalIdOrNone,
    Icon,
    Image,
    Link,
    LocaleName,
    PriorityNumber,
    PriorityWord,
    ProviderKey,
    Sound,
    TemplatePath,
    UserRefOrNone,
)

MAX_RECIPIENTS = 10_000


class Throttle(msgspec.Struct, kw_only=True, omit_defaults=True):
    """At most `limit` messages with this key to a user, on a channel, in `window_s` seconds."""

    key: str
    """What is counted together, up to 100 characters. Example: `order-7`"""

    window_s: int
    """The length of the window that is counted back from now, in seconds. Example: `3600`"""

    limit: int = 1
    """The most messages in the window; a further message is suppressed. Example: `2`"""


class AttachedFile(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A file that is attached to emails."""

    filename: str
    """The name that the recipient sees. Example: `invoice.pdf`"""

    content: str
    """The bytes of the file in base64 with padding. Example: `JVBERi0xLjcK`"""

    content_type: str = "application/octet-stream"
    """The media type of the file. Example: `application/pdf`"""


class SendOptions(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How a notification is sent."""

    bypass_preferences: bool | UnsetType = UNSET
    """Sends although the user's preferences are against it; needs `preferences:bypass`."""

    track_opens: bool | UnsetType = UNSET
    """Whether an email contains a picture that reports that it was opened. Left out, it does
    where `CARILLON_TRACK_OPENS` is `on`."""

    track_clicks: bool | UnsetType = UNSET
    """Whether the links of an email lead through this service, which records clicks. Left out,
    they do where `CARILLON_TRACK_CLICKS` is `on`."""

    fallback: list[ChannelName] = []
    """The channels that follow, in order. The next channel is used when the one before failed for
    good or is closed to the message. Example: `["sms"]`"""

    fallback_after_s: int | UnsetType = UNSET
    """Uses the next channel also when the notification was not read after so many seconds, at most
    2,592,000. Example: `600`"""

    channel_choice: ChannelChoiceName | UnsetType = UNSET
    """Whether the first channel is learned of the user, among `channel` and `fallback`; only for a
    single send to a user. Example: `learned`"""

    locale: LocaleName | UnsetType = UNSET
    """The locale of the texts instead of the user's own. Example: `pt_BR`"""

    provider: ProviderKey | UnsetType = UNSET
    """The provider that sends the message instead of the channel's own. Example: `twilio`"""

    attachments: list[AttachedFile] = []
    """Up to 10 files that are attached to emails."""

    reply_to: str | UnsetType = UNSET
    """The address that answers to an email go to. Example: `support@example.com`"""

    sender: str | UnsetType = UNSET
    """The sender of an email, one of `CARILLON_VERIFIED_SENDERS`. Example: `billing@example.com`"""

    throttle: Throttle | None = None
    """Suppresses the message when the throttle's limit is reached."""

    dedupe_s: int | UnsetType = UNSET
    """Suppresses the message when one with the same `collapse_key` was sent within so many seconds
    before. Example: `300`"""


class Address(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A recipient who is no user: exactly one of the fields."""

    email: str | UnsetType = UNSET
    """An email address. Example: `ada@example.com`"""

    phone: str | UnsetType = UNSET
    """A phone number in E.164. Example: `"+4915112345678"`"""

    telegram_id: str | UnsetType = UNSET
    """The id of a Telegram chat. Example: `"123456789"`"""


class SendBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A notification for one user, or for one address."""

    template_path: TemplatePath
    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None

    to: Address | None = None
    """An address that belongs to no user; needs `notifications:address`."""

    channel: ChannelName | None = None
    """The one channel of the notification. Give `channel` or `channels`. Example: `email`"""

    channels: list[ChannelName] | None = None
    """All channels of the notification; each gets its own message. Example: `["email", "push"]`"""

    priority: PriorityNumber | PriorityWord | UnsetType = UNSET
    """How urgent it is, as a number or a word; left out, the template's own. Example: `high`"""

    category: CategoryKey | None = None
    """The category instead of the template's own. Example: `payment`"""

    context: dict[str, Any] = {}
    """The values of the template's variables: any JSON object of at most 256,000 bytes.
    Example: `{"amount": 12.5, "currency": "EUR"}`"""

    scheduled_at: datetime | None = None
    """When to send it (RFC 3339); left out, at once."""

    expires_at: datetime | None = None
    """When an unsent message is no longer worth sending (RFC 3339); it expires then."""

    collapse_key: str | None = None
    """A waiting message with the same key is replaced by this one. At most 100 characters.
    Example: `order-7`"""

    ordering_key: str | None = None
    """Messages with the same key to a user are sent one after the other. At most 100 characters.
    Example: `chat-12`"""

    data: dict[str, Any] = {}
    """Values that go along to the app on every channel that carries them, at most 4,096 bytes of
    JSON. Example: `{"order_id": 7}`"""

    link: Link = None
    image: Image = None
    icon: Icon = None
    sound: Sound = None
    badge: Badge = None

    options: SendOptions | None = None
    """How the notification is sent."""


class BulkRecipient(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One recipient of a bulk call: `user_id` or `external_id` names the user."""

    user_id: UserRefOrNone = None
    """The user: Carillon's integer id, a UUID, or `ext:` and your `external_id`.
    Example: `ext:p-7`"""

    external_id: ExternalIdOrNone = None

    channel: ChannelName | None = None
    """The channel for this recipient instead of the call's own. Example: `sms`"""

    context: dict[str, Any] = {}
    """The values of the template's variables for this recipient: any JSON object. They override
    those of the call. Example: `{"name": "Ada"}`"""


class BulkBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The same notification for up to 10,000 users, or for all users of an audience."""

    template_path: TemplatePath

    recipients: list[BulkRecipient] | None = None
    """Up to 10,000 recipients. Give `recipients` or `audience`."""

    audience: dict[str, Any] | None = None
    """A rule that resolves to users, in the language of audiences.
    Example: `{"rule": "all_students"}`"""

    channel: ChannelName | None = None
    """The one channel of all recipients that name none. Example: `email`"""

    channels: list[ChannelName] | None = None
    """All channels of recipients that name none. Example: `["email", "push"]`"""

    priority: PriorityNumber | PriorityWord | UnsetType = UNSET
    """How urgent it is, as a number or a word; left out, the template's own. Example: `low`"""

    category: CategoryKey | None = None
    """The category instead of the template's own. Example: `course`"""

    context: dict[str, Any] = {}
    """The values of the template's variables for all: any JSON object of at most 256,000 bytes.
    Example: `{"course": "Algebra"}`"""

    scheduled_at: datetime | None = None
    """When to send them (RFC 3339); left out, at once."""

    expires_at: datetime | None = None
    """When an unsent message is no longer worth sending (RFC 3339); it expires then."""

    collapse_key: str | None = None
    """A waiting message with the same key is replaced by this one. At most 100 characters.
    Example: `course-5`"""

    data: dict[str, Any] = {}
    """Values that go along to the app on every channel that carries them, at most 4,096 bytes of
    JSON. Example: `{"course_id": 5}`"""

    link: Link = None
    image: Image = None
    icon: Icon = None
    sound: Sound = None
    badge: Badge = None

    options: SendOptions | None = None
    """How the notifications are sent."""


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

    #: The place in the caller's list, from 0.
    index: int
    user: PersonKey
    channels: tuple[str, ...]
    context: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A recipient that was not accepted, with the reason."""

    #: The place in the caller's list, from 0.
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
