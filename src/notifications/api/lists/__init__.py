"""Routes of mailing lists."""

from notifications.api.lists.routes import ROUTES

__all__ = ["ROUTES"]
