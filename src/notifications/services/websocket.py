"""Sends to people and rooms that are connected, under the documented names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

from directory.models import User
from directory.references import read_person
from notifications.features.access.persons import keys_of
from notifications.features.rooms import presence
from notifications.features.rooms.access import existing_room
from notifications.features.rooms.names import Room, read_room
from notifications.features.rooms.service import online_now, room_message


class WebSocketNotificationService:
    """Nothing that it sends is stored: who is not connected never gets it.

    It sends by the configured channel layer, so a process without sockets can use it.
    """

    def __init__(self) -> None:
        """Takes the default channel layer of the settings."""
        self.channel_layer = get_channel_layer()

    async def send_realtime_notification(
        self, user: User | int | UUID, notification_data: Mapping[str, Any]
    ) -> bool:
        """Sends data to all sockets and streams of a user; returns False where there are none.

        Args:
            user: the user, or an id.

        Raises:
            RoomDataTooLarge: the data has more than 6 KB.
        """
        user_id = await _user_id(user)
        if user_id is None or not await self.is_user_online(user_id):
            return False
        message = room_message(notification_data)
        await self.channel_layer.group_send(Room("user", user_id).group_name, message)
        return True

    async def send_room_notification(
        self,
        room_name: str,
        notification_data: Mapping[str, Any],
        exclude_users: Collection[int | UUID] | None = None,
    ) -> None:
        """Sends data to all sockets in a room, except those of some users.

        Args:
            room_name: `course:5`, or `room.course.5` as Channels names it.

        Raises:
            InvalidRequest: invalid_room. NotFound: unknown_room.
            RoomDataTooLarge: the data has more than 6 KB.
        """
        room = await _room(room_name)
        excluded = await sync_to_async(keys_of)(exclude_users or ())
        message = room_message(notification_data, sorted(set(excluded.values())))
        await self.channel_layer.group_send(room.group_name, message)

    async def is_user_online(self, user_id: User | int | UUID) -> bool:
        """Returns whether a user has a socket or a stream at any web process."""
        key = await _user_id(user_id)
        return key is not None and await sync_to_async(presence.is_online)(key)

    async def get_online_users_in_room(self, room_name: str) -> list[int]:
        """Returns the ids of the users of a room who are connected, in ascending order.

        Raises:
            InvalidRequest: invalid_room. NotFound: unknown_room.
        """
        room = await _room(room_name)
        return sorted(await sync_to_async(online_now)(room))


async def _user_id(user: User | int | str | UUID) -> int | None:
    """Returns the id of a user, whom an id may name as a text; None where there is no such user."""
    if isinstance(user, User):
        return user.pk
    key = read_person(user, written=True)
    return None if key is None else (await sync_to_async(keys_of)([key])).get(key)


async def _room(name: str) -> Room:
    return await sync_to_async(existing_room)(read_room(name))
