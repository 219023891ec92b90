"""Django's admin for staff. It shows rows of the service and does not edit them."""

from notifications.admin import access, delivery, operations, people, templates

__all__ = ["access", "delivery", "operations", "people", "templates"]
