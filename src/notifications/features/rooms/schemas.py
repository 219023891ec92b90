"""Bodies and responses of rooms."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from notifications.infra.field_types import NextPage, PreviousPage

MOST_EXCLUDED = 100


class RoomNotificationBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is sent to a room."""

    data: dict[str, Any]
    """What the clients get, at most 6 KB as JSON. Example: `{"title": "The lesson begins"}`"""

    exclude_users: Annotated[list[int | UUID], msgspec.Meta(max_length=MOST_EXCLUDED)] = []
    """Users who do not get it: at most 100. Example: `[7]`"""


class RoomNotificationResponse(msgspec.Struct, kw_only=True):
    """What was sent."""

    room: str
    """The room. Example: `course:5`"""

    online: int
    """How many of its users are connected, without those excluded. Example: `12`"""


class PresentPerson(msgspec.Struct, kw_only=True):
    """A user of a room who is connected."""

    user_id: int
    """The user. Example: `7`"""

    connected: bool
    """Whether a socket or a stream of theirs is open. Example: `true`"""

    active: bool
    """Whether one of their clients says that it is visible. Example: `false`"""

    last_seen: datetime | None
    """When they connected or had a visible client last, to the minute; null for never."""


class RoomPresence(msgspec.Struct, kw_only=True):
    """A page of the users of a room who are connected, by ascending id.

    A room of one user lists that user, connected or not.
    """

    room: str
    """The room. Example: `course:5`"""

    online: int
    """How many of its users are connected. Example: `12`"""

    results: list[PresentPerson]
    """The users."""

    next: NextPage = None
    previous: PreviousPage = None
