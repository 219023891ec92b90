"""The names of rooms: `course:5`, `group:7`, `subject:3`, `user:9`.

Channels' groups have no colons in their names: there they are `room.course.5` and `user_9`. Both
forms are read everywhere.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple
from uuid import UUID

from directory.models import Group, Subject, User
from notifications.domain.errors import FieldError, InvalidRequest

KINDS = ("course", "group", "subject", "user")
_FORMS = re.compile(r"(\w+):([0-9a-f-]+)|room\.(\w+)\.([0-9a-f-]+)|(user)_([0-9a-f-]+)", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST = 60
_LARGEST = (1 << 63) - 1


class Room(NamedTuple):
    """A room. A course is a group: `course:5` and `group:5` are two rooms of the same people."""

    kind: str
    #: The key of the group, the subject or the user.
    id: int

    @property
    def name(self) -> str:
        """Its name in frames and paths, such as `course:5`."""
        return f"{self.kind}:{self.id}"

    @property
    def group_name(self) -> str:
        """Its name as a group of Channels: `room.course.5`, or `user_5`."""
        return f"user_{self.id}" if self.kind == "user" else f"room.{self.kind}.{self.id}"


class RoomRef(NamedTuple):
    """A room as a client names it."""

    kind: str
    key: int | UUID


def read_room(text: object) -> RoomRef:
    """Returns the room that a text names.

    Raises:
        InvalidRequest: invalid_room.
    """
    found = _FORMS.fullmatch(text) if isinstance(text, str) and len(text) <= _LONGEST else None
    kind, id_text = [each for each in found.groups() if each] if found else ("", "")
    key = _key(id_text)
    if kind not in KINDS or key is None:
        detail = "must be course:<id>, group:<id>, subject:<id> or user:<id>"
        raise InvalidRequest([FieldError("room", "invalid_room", detail)])
    return RoomRef(kind, key)


def room_of_group(name: str) -> Room | None:
    """Returns the room of a group of Channels; None for other groups."""
    try:
        ref = read_room(name)
    except InvalidRequest:
        return None
    return Room(ref.kind, ref.key) if isinstance(ref.key, int) else None


def find_rooms(refs: Collection[RoomRef]) -> dict[RoomRef, Room]:
    """Returns the rooms among these that exist. One statement for each kind of id."""
    wanted: defaultdict[tuple[Any, str], set[Any]] = defaultdict(set)
    for ref in refs:
        wanted[_MODELS[ref.kind], "uuid" if isinstance(ref.key, UUID) else "pk"].add(ref.key)
    keys: dict[tuple[Any, Any], int] = {}
    for (model, column), values in wanted.items():
        if column == "uuid" and model is Subject:
            continue  # a subject has no UUID
        rows = model._default_manager.filter(**{f"{column}__in": values})
        keys.update({(model, key): pk for key, pk in rows.values_list(column, "pk")})
    return {
        ref: Room(ref.kind, keys[place])
        for ref in refs
        if (place := (_MODELS[ref.kind], ref.key)) in keys
    }


_MODELS: dict[str, Any] = {"course": Group, "group": Group, "subject": Subject, "user": User}


def _key(text: str) -> int | UUID | None:
    if _UUID.fullmatch(text):
        return UUID(text)
    if text.isdecimal() and len(text) < 20 and text[0] != "0" and int(text) <= _LARGEST:
        return int(text)
    return None
