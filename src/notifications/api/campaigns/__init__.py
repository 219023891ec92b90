"""Routes of campaigns."""

from __future__ import annotations

from notifications.api.campaigns.routes import ROUTES

__all__ = ["ROUTES"]
