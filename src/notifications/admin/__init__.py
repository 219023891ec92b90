"""Django's admin, for staff who want to see rows. Rows of the service are shown, never edited."""

from notifications.admin import access, delivery, operations, people, templates

__all__ = ["access", "delivery", "operations", "people", "templates"]
