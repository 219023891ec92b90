"""Sends to rooms, and says who is connected."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from notifications.domain.callers import Caller
from notifications.features.access.persons import keys_of
from notifications.features.rooms.access import READ_SCOPE, SEND_SCOPE, room_for
from notifications.features.rooms.names import Room, read_room
from notifications.features.rooms.payloads import NOTIFICATION, send_message
from notifications.features.rooms.presence import live_processes, online_in
from notifications.features.rooms.schemas import (
    PresentPerson,
    RoomNotificationResponse,
    RoomPresence,
)
from notifications.models import LastSeen


class RoomService:
    """Room notifications are not stored: who is not connected never gets them."""

    def notify(
        self,
        *,
        room: str,
        data: Mapping[str, Any],
        exclude_users: Collection[int | UUID] = (),
        caller: Caller,
    ) -> RoomNotificationResponse:
        """Sends data to all sockets in a room, of all processes.

        Raises:
            InvalidRequest: invalid_room. Refused: room_forbidden. NotFound: unknown_room.
            RoomDataTooLarge: the data has more than 6 KB.
        """
        place = room_for(caller, read_room(room), scope=SEND_SCOPE)
        excluded = sorted(set(keys_of(exclude_users).values()))
        send_message(place.group_name, room_message(data, excluded))
        online = online_now(place).keys() - set(excluded)
        return RoomNotificationResponse(room=place.name, online=len(online))

    def presence(
        self, *, room: str, after: int = 0, limit: int = 50, caller: Caller
    ) -> RoomPresence:
        """Returns a page of who is connected. People may ask about rooms that they may join.

        Raises:
            InvalidRequest: invalid_room. Refused: room_forbidden. NotFound: unknown_room.
        """
        place = room_for(caller, read_room(room), scope=READ_SCOPE, for_members=True)
        online = online_now(place)
        listed = {place.id} if place.kind == "user" else online.keys()
        page = sorted(user_id for user_id in listed if user_id > after)[:limit]
        seen = dict(LastSeen.objects.filter(user_id__in=page).values_list("user_id", "at"))
        people = [
            PresentPerson(
                user_id=user_id,
                connected=user_id in online,
                active=online.get(user_id, False),
                last_seen=seen.get(user_id),
            )
            for user_id in page
        ]
        return RoomPresence(room=place.name, online=len(online), results=people)


def room_message(data: Mapping[str, Any], excluded: Collection[int] = ()) -> dict[str, Any]:
    """Returns a room notification as a message of Channels."""
    message: dict[str, Any] = {"type": NOTIFICATION, "data": data}
    return {**message, "exclude_users": list(excluded)} if excluded else message


def online_now(room: Room) -> dict[int, bool]:
    """Returns who of a room's people is connected: user id -> whether active."""
    return online_in([room], processes=live_processes())[room]
