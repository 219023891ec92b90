"""The documented address of the scheduler class: `notifications.scheduler`."""

from notifications.features.scheduling.documented import CancelResult, NotificationScheduler

__all__ = ["CancelResult", "NotificationScheduler"]
