"""Every route of the API. URLs, the OpenAPI document and the docs are made from this list."""

from __future__ import annotations

from notifications.api import (
    access,
    audiences,
    audit,
    broadcast_recipients,
    broadcasts,
    callbacks,
    categories,
    dead_letters,
    devices,
    groups,
    health,
    jobs,
    notifications,
    operations,
    preferences,
    privacy,
    providers,
    relations,
    schedules,
    templates,
    users,
    webhooks,
)
from notifications.api.route import Route

ROUTES: tuple[Route, ...] = (
    *access.ROUTES,
    *notifications.ROUTES,
    *jobs.ROUTES,
    *schedules.ROUTES,
    *preferences.ROUTES,
    *users.ROUTES,
    *devices.ROUTES,
    *groups.ROUTES,
    *relations.ROUTES,
    *audiences.ROUTES,
    *categories.ROUTES,
    *templates.ROUTES,
    *callbacks.ROUTES,
    *providers.ROUTES,
    *broadcasts.ROUTES,
    *broadcast_recipients.ROUTES,
    *webhooks.ROUTES,
    *operations.ROUTES,
    *dead_letters.ROUTES,
    *audit.ROUTES,
    *privacy.ROUTES,
    *health.ROUTES,
)
