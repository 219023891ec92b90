"""The schedule's class, at the address that the source document imports it from."""

from notifications.features.scheduling.documented import CancelResult, NotificationScheduler

__all__ = ["CancelResult", "NotificationScheduler"]
