"""Shapes of people as the API accepts and returns them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from notifications.features.sending.schemas import RejectionResponse


class ContactPointResponse(msgspec.Struct, kw_only=True):
    """One way to reach a person. state: active, bounced, expired or unsubscribed."""

    kind: str
    address: str
    state: str
    state_reason: str
    verified_at: datetime | None


class GroupName(msgspec.Struct, kw_only=True):
    """A group that a person belongs to."""

    uuid: UUID
    name: str


class UserResponse(msgspec.Struct, kw_only=True):
    """A person with their contact points and groups."""

    id: int
    uuid: UUID
    external_id: str | None
    username: str
    first_name: str
    last_name: str
    role: str
    locale: str
    timezone: str
    avatar_url: str
    subscription_tier: str
    attributes: dict[str, Any]
    is_active: bool
    date_joined: datetime
    contact_points: list[ContactPointResponse]
    groups: list[GroupName]


class UserList(msgspec.Struct, kw_only=True):
    """A page of people, by id."""

    results: list[UserResponse]
    next: str | None = None
    previous: str | None = None


class DeviceBody(msgspec.Struct, kw_only=True):
    """A push token, or a browser's Web Push subscription (kind webpush, with its keys)."""

    token: str
    kind: str = "fcm"
    platform: str = ""
    keys: dict[str, str] = {}


class UserBody(msgspec.Struct, kw_only=True):
    """A person as the platform knows them. What is left out stays as it is."""

    external_id: str | None = None
    username: str | None = None
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    role: str | None = None
    locale: str | None = None
    timezone: str | None = None
    phone_number: str | None = None
    telegram_id: str | None = None
    avatar_url: str | None = None
    subscription_tier: str | None = None
    attributes: dict[str, Any] | None = None
    is_active: bool | None = None
    contact_points: dict[str, str | None] | None = None
    groups: list[str] | None = None
    devices: list[DeviceBody] | None = None
    data_processing_consent: bool | None = None


class BulkUser(UserBody, kw_only=True):
    """A person in a bulk call: `uuid`, else `external_id`, `username` or `email` says who."""

    uuid: UUID | None = None


class UsersBody(msgspec.Struct, kw_only=True):
    """Up to 10,000 people. A JSON array of them, or lines of JSON (NDJSON), are taken, too."""

    users: list[BulkUser]


class UsersResponse(msgspec.Struct, kw_only=True):
    """What became of a bulk call; `index` counts from 0."""

    created: int
    updated: int
    unchanged: int
    rejected: list[RejectionResponse]
