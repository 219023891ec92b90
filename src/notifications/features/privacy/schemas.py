"""What the routes of erasure take, and what they respond."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from notifications.infra.field_types import (
    ContactKindName,
    ExternalIdOrNone,
    UserRefOrNone,
    choice,
)
from notifications.models import ErasureState

STATE = choice("ErasureState", ErasureState.values, "How far the erasure is.")
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class EraseBody(msgspec.Struct, kw_only=True):
    """Why a user is erased."""

    reason: Reason
    """The reason; it is in the certificate and in the audit log. Example: `request of 3 May`"""


class EraseAddressBody(msgspec.Struct, kw_only=True):
    """An address to erase: exactly one of the three."""

    reason: Reason
    """The reason; it is in the certificate. Example: `request of 3 May`"""

    email: str | None = None
    """An email address. Example: `ann@example.com`"""

    phone: str | None = None
    """A number in international form. Example: `+4915112345678`"""

    telegram_id: str | None = None
    """A chat id. Example: `"123456"`"""


class HoldBody(msgspec.Struct, kw_only=True):
    """A legal hold to place."""

    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None

    reason: Reason
    """The reason, such as a case number. Example: `case 17/2030`"""


class ErasureResponse(msgspec.Struct, kw_only=True):
    """An erasure that was requested."""

    certificate_id: UUID
    """The id of its certificate."""

    state: Annotated[str, STATE]


class CertificateResponse(msgspec.Struct, kw_only=True):
    """The certificate of an erasure. It is complete when `state` is `done`."""

    certificate_id: UUID
    """The id of the certificate."""

    state: Annotated[str, STATE]

    user_id: int | None
    """The integer id of the erased user, or null for an address. Example: `42`"""

    user_uuid: UUID | None
    """The UUID of the erased user, or null for an address."""

    kind: ContactKindName | None
    """The kind of the address; null for a user."""

    reason: str
    """Why it was erased. Example: `request of 3 May`"""

    actor: str
    """Who requested it. Example: `key:crm`"""

    requested_at: datetime
    """When nothing was sent any more (RFC 3339)."""

    keys_erased_at: datetime | None
    """When the keys were deleted from the key store (RFC 3339); null before."""

    finished_at: datetime | None
    """When the last row was deleted (RFC 3339); null before."""

    keys: list[str]
    """The ids of the deleted keys. Example: `["1903867200000"]`"""

    in_flight: list[str]
    """The keys of messages that were in flight when it was requested. They may have arrived.
    Example: `["4711"]`"""

    removed: dict[str, int]
    """How many rows were deleted, by table, and how many messages were cancelled. Example:
    `{"notifications": 12}`"""

    residues: list[str]
    """What remains, and for how long. Example: `["backups: unreadable"]`"""


class HoldResponse(msgspec.Struct, kw_only=True):
    """A legal hold."""

    id: UUID
    """The id of the hold."""

    number: int
    """The integer id of the hold, by which lists are ordered. Example: `5`"""

    user_id: int
    """The integer id of the user. Example: `42`"""

    reason: str
    """The reason. Example: `case 17/2030`"""

    actor: str
    """Who placed it. Example: `user:1`"""

    created_at: datetime
    """When it was placed (RFC 3339)."""
