"""Routes of rooms: what is sent to those who are connected, and who is."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Route
from notifications.features.rooms.access import READ_SCOPE, SEND_SCOPE
from notifications.features.rooms.schemas import (
    RoomNotificationBody,
    RoomNotificationResponse,
    RoomPresence,
)
from notifications.features.rooms.service import RoomService


def notify(request: ApiRequest) -> RoomNotificationResponse:
    body = check_body(request.body, RoomNotificationBody)
    return RoomService().notify(
        room=request.params["room"],
        data=body.data,
        exclude_users=body.exclude_users,
        caller=request.caller,
    )


def presence(request: ApiRequest) -> RoomPresence:
    page = page_of(request)
    found = RoomService().presence(
        room=request.params["room"], after=page.after, limit=page.fetch, caller=request.caller
    )
    keys = [person.user_id for person in found.results]
    found.next, found.previous = links(request, page, keys)
    found.results = found.results[: page.limit]
    return found


ROUTES: tuple[Route, ...] = (
    Route(
        name="notify_room",
        method="POST",
        path="/api/v1/rooms/{room}/notify",
        handler=notify,
        summary="Send data to the users of a room who are connected. It is not stored.",
        scope=SEND_SCOPE,
        body=RoomNotificationBody,
        responses={202: RoomNotificationResponse},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="room_presence",
        method="GET",
        path="/api/v1/rooms/{room}/presence",
        handler=presence,
        summary="List who of a room is connected, and whether a client of theirs is visible.",
        service_scope=READ_SCOPE,
        query=PAGE_QUERY,
        responses={200: RoomPresence},
        errors=(403, 404),
    ),
)
