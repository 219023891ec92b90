"""Every door of the API, a file a noun. Whatever else knows the routes is made from this list."""

from __future__ import annotations

from notifications.api.route import Route
from notifications.api.routes import (
    access,
    audiences,
    breakers,
    broadcasts,
    callbacks,
    categories,
    dead_letters,
    devices,
    health,
    inbound_sms,
    notifications,
    operations,
    people,
    preferences,
    providers,
    schedules,
    segments,
    set_aside,
    templates,
    users,
    webhooks,
)

ROUTES: tuple[Route, ...] = (
    *access.ROUTES,
    *notifications.ROUTES,
    *schedules.ROUTES,
    *preferences.ROUTES,
    *users.ROUTES,
    *devices.ROUTES,
    *people.ROUTES,
    *audiences.ROUTES,
    *segments.ROUTES,
    *categories.ROUTES,
    *templates.ROUTES,
    *callbacks.ROUTES,
    *providers.ROUTES,
    *breakers.ROUTES,
    *broadcasts.ROUTES,
    *webhooks.ROUTES,
    *inbound_sms.ROUTES,
    *operations.ROUTES,
    *dead_letters.ROUTES,
    *set_aside.ROUTES,
    *health.ROUTES,
)
