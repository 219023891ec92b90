"""The schedule's class, at the address that the source document imports it from."""

from notifications.services.scheduler import CancelResult, NotificationScheduler

__all__ = ["CancelResult", "NotificationScheduler"]
