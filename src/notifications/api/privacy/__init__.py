"""Routes of exports, erasure, certificates and legal holds."""

from notifications.api.privacy.routes import ROUTES

__all__ = ["ROUTES"]
