"""Routes of the audit log and of receipts."""

from notifications.api.audit.routes import ROUTES

__all__ = ["ROUTES"]
