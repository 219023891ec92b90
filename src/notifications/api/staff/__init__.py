"""Routes of staff and of their groups."""

from notifications.api.staff.routes import ROUTES

__all__ = ["ROUTES"]
