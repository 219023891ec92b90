"""Request and response schemas of users and devices."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from directory.models import Device
from notifications.features.sending.schemas import RejectionResponse
from notifications.infra.field_types import (
    ContactKindName,
    ContactStateName,
    LocaleName,
    NextPage,
    PreviousPage,
    RoleName,
    ZoneName,
    choice,
)

DeviceKindName = Annotated[
    str,
    choice("DeviceKind", Device.Kind.values, "The push service of a device."),
]


class ContactPointResponse(msgspec.Struct, kw_only=True):
    """One address of a user on one channel."""

    kind: ContactKindName

    address: str
    """The address in its normal form. Example: `ada@example.com`"""

    state: ContactStateName

    state_reason: str
    """Why the contact point has this state; empty when it is active. Example: `hard bounce`"""

    verified_at: datetime | None
    """When the user proved that the address is theirs (RFC 3339), or null."""


class GroupName(msgspec.Struct, kw_only=True):
    """A group that a user belongs to."""

    uuid: UUID
    """The id of the group."""

    name: str
    """The name of the group. Example: `Algebra`"""


class UserResponse(msgspec.Struct, kw_only=True):
    """A user with their contact points and groups."""

    id: int
    """Carillon's integer id of the user. Example: `42`"""

    uuid: UUID
    """Carillon's UUID of the user."""

    external_id: str | None
    """Your platform's id of the user, or null. Example: `p-7`"""

    username: str
    """The unique name that the user signs in with. Example: `ada`"""

    first_name: str
    """The given name. Example: `Ada`"""

    last_name: str
    """The family name. Example: `Lovelace`"""

    role: RoleName
    locale: LocaleName
    timezone: ZoneName

    avatar_url: str
    """The URL of the user's picture; empty for none. Example: `https://example.com/ada.png`"""

    subscription_tier: str
    """What the user pays for, in your own words. Example: `free`"""

    attributes: dict[str, Any]
    """Your own values about the user: any JSON object. Example: `{"city": "Paris"}`"""

    attributes_private: dict[str, Any]
    """Your own values that are sealed; no audience selects by them.
    Example: `{"iban": "DE1"}`"""

    is_active: bool
    """Whether the user is notified and can sign in."""

    date_joined: datetime
    """When the user was made (RFC 3339)."""

    contact_points: list[ContactPointResponse]
    """The user's addresses."""

    groups: list[GroupName]
    """The groups that the user belongs to."""


class UserList(msgspec.Struct, kw_only=True):
    """A page of users, by id."""

    results: list[UserResponse]
    """The users of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class DeviceBody(msgspec.Struct, kw_only=True):
    """A push token, or a browser's Web Push subscription."""

    token: str
    """The push token, or the endpoint URL of a Web Push subscription. Example: `dXk3:APA91b`"""

    kind: DeviceKindName = "fcm"

    platform: str = ""
    """The device's platform in your own words, up to 20 characters. Example: `ios`"""

    keys: dict[str, str] = {}
    """The keys `p256dh` and `auth` of a Web Push subscription, in base64url.
    Example: `{"p256dh": "BNc", "auth": "tBH"}`"""


class UserBody(msgspec.Struct, kw_only=True):
    """A user as your platform knows them. A field that is left out stays as it is."""

    external_id: str | None = None
    """Your platform's id of the user, up to 100 characters. Example: `p-7`"""

    username: str | None = None
    """The unique name that the user signs in with. Example: `ada`"""

    email: str | None = None
    """The email address; empty or null removes it. Example: `ada@example.com`"""

    first_name: str | None = None
    """The given name. Example: `Ada`"""

    last_name: str | None = None
    """The family name. Example: `Lovelace`"""

    role: RoleName | None = None
    """The role on your platform; `student` for a new user. Example: `teacher`"""

    locale: LocaleName | None = None
    """The locale of the user's texts. Example: `pt_BR`"""

    timezone: ZoneName | None = None
    """The user's IANA time zone. Example: `Europe/Paris`"""

    phone_number: str | None = None
    """The phone number in E.164; empty or null removes it. Example: `"+4915112345678"`"""

    telegram_id: str | None = None
    """The id of the user's Telegram chat; empty or null removes it. Example: `"123456789"`"""

    avatar_url: str | None = None
    """The URL of the user's picture. Example: `https://example.com/ada.png`"""

    subscription_tier: str | None = None
    """What the user pays for, in your own words. Example: `free`"""

    attributes: dict[str, Any] | None = None
    """Your own values about the user: any JSON object. Example: `{"city": "Paris"}`"""

    attributes_private: dict[str, Any] | None = None
    """Your own values that are sealed: an object of up to 16 KB, merged with the stored one.
    Example: `{"iban": "DE1"}`"""

    is_active: bool | None = None
    """Whether the user is notified and can sign in."""

    contact_points: dict[str, str | None] | None = None
    """Addresses by kind; null removes one. Example: `{"webhook": "https://example.com/hook"}`"""

    groups: list[str] | None = None
    """All groups of the user, each by UUID or name; a new name makes a group.
    Example: `["Algebra"]`"""

    devices: list[DeviceBody] | None = None
    """Devices to register; devices that are not listed stay."""

    data_processing_consent: bool | None = None
    """Whether the user consents that their data is processed for what rests on consent."""


class BulkUser(UserBody, kw_only=True):
    """A user in a bulk call: `uuid`, else `external_id`, `username` or `email` names the user."""

    uuid: UUID | None = None
    """Carillon's UUID of the user, or the UUID of a new one."""


class UsersBody(msgspec.Struct, kw_only=True):
    """Up to 10,000 users. A JSON array of them, and lines of JSON (NDJSON), are accepted too."""

    users: list[BulkUser]
    """The users to make or change, up to 10,000."""


class UsersResponse(msgspec.Struct, kw_only=True):
    """The result of a bulk call."""

    created: int
    """The number of users that were made. Example: `10`"""

    updated: int
    """The number of users that were changed. Example: `5`"""

    unchanged: int
    """The number of users that were like this before. Example: `85`"""

    rejected: list[RejectionResponse]
    """The entries that were not accepted."""
