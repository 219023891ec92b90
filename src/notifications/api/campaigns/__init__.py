"""Routes of campaigns and series."""

from __future__ import annotations

from notifications.api.campaigns import routes, series

ROUTES = (*routes.ROUTES, *series.ROUTES)
