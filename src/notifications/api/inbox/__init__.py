"""Routes of the inbox, and of rooms."""

from notifications.api.inbox import rooms, routes

ROUTES = (*routes.ROUTES, *rooms.ROUTES)
