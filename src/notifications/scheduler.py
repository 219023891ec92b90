"""The documented module of the scheduler's class."""

from notifications.features.scheduling.documented import CancelResult, NotificationScheduler

__all__ = ["CancelResult", "NotificationScheduler"]
