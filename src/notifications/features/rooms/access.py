"""Who may join which room: its members by the directory, and staff who may read users.

A room of a user is that user's alone: no role of staff opens it.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from django.db import connection

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import NotFound, Refused
from notifications.domain.staff_rights import RIGHTS
from notifications.features.inbox.reading import fetch
from notifications.features.rooms.names import Room, RoomRef, find_rooms

READ_SCOPE = "users:read"
SEND_SCOPE = "notifications:send"
_ROLES = sorted(role for role, rights in RIGHTS.items() if READ_SCOPE in rights)
_AT_ONCE = 5_000
_PAIRS = {
    "postgresql": "WITH v AS (SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[])"
    " AS v(user_id, kind, id))",
    "sqlite": "WITH v AS (SELECT value ->> 0 AS user_id, value ->> 1 AS kind, value ->> 2 AS id"
    " FROM json_each(%s))",
}
_ALLOWED = (
    " SELECT v.user_id, v.kind, v.id FROM v WHERE v.kind = 'user' AND v.id = v.user_id"
    " OR v.kind IN ('course', 'group') AND EXISTS (SELECT 1 FROM directory_groupmembership m"
    " WHERE m.group_id = v.id AND m.user_id = v.user_id)"
    " OR v.kind = 'subject' AND (EXISTS (SELECT 1 FROM directory_enrollment e"
    " WHERE e.subject_id = v.id AND e.student_id = v.user_id)"
    " OR EXISTS (SELECT 1 FROM directory_enrollment e"
    " WHERE e.teacher_id = v.user_id AND e.subject_id = v.id))"
)


def allowed(pairs: Collection[tuple[int, Room]]) -> set[tuple[int, Room]]:
    """Returns which people may be in which rooms, among these. Two statements for each 5,000.

    It does not say whether a room exists.
    """
    wanted = list(pairs)
    found: set[tuple[int, Room]] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        rows = fetch(_PAIRS[connection.vendor] + _ALLOWED, _values(part))
        found |= {(user_id, Room(kind, key)) for user_id, kind, key in rows}
        rest = [pair for pair in part if pair not in found and pair[1].kind != "user"]
        if rest:
            staff = _staff({user_id for user_id, _ in rest})
            found |= {pair for pair in rest if pair[0] in staff}
    return found


def room_for(caller: Caller, ref: RoomRef, *, scope: str, for_members: bool = False) -> Room:
    """Returns a room that a caller may use.

    Args:
        scope: the scope that a key or a member of staff needs.
        for_members: whether the people of the room may, without the scope.

    Raises:
        Refused: room_forbidden. NotFound: unknown_room, where the caller has the scope.
    """
    if caller.may(scope):
        return existing_room(ref)
    room = find_rooms([ref]).get(ref)
    user_id = None if caller.is_service or not for_members else caller.user_id
    if room is None or user_id is None or (user_id, room) not in allowed([(user_id, room)]):
        raise forbidden()
    return room


def existing_room(ref: RoomRef) -> Room:
    """Returns the room that a name means.

    Raises:
        NotFound: unknown_room.
    """
    room = find_rooms([ref]).get(ref)
    if room is None:
        raise NotFound("there is no such room", code="unknown_room")
    return room


def forbidden() -> Refused:
    """Returns the refusal of a room. It does not reveal whether the room exists."""
    return Refused("this room is not open to you", code="room_forbidden")


def _staff(user_ids: Collection[int]) -> set[int]:
    rows = User.objects.filter(pk__in=user_ids, staff_role__in=_ROLES, is_active=True)
    return set(rows.values_list("pk", flat=True))


def _values(pairs: list[tuple[int, Room]]) -> list[object]:
    if connection.vendor == "postgresql":
        return [
            [user_id for user_id, _ in pairs],
            [room.kind for _, room in pairs],
            [room.id for _, room in pairs],
        ]
    return [json.dumps([[user_id, *room] for user_id, room in pairs])]
