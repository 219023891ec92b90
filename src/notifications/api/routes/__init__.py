"""Every door of the API, a file a noun. Whatever else knows the routes is made from this list."""

from __future__ import annotations

from notifications.api.route import Route
from notifications.api.routes import (
    access,
    audiences,
    categories,
    health,
    notifications,
    operations,
    preferences,
    segments,
)

ROUTES: tuple[Route, ...] = (
    *access.ROUTES,
    *notifications.ROUTES,
    *preferences.ROUTES,
    *audiences.ROUTES,
    *segments.ROUTES,
    *categories.ROUTES,
    *operations.ROUTES,
    *health.ROUTES,
)
