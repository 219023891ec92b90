"""The documented names that concern personal data."""

from notifications.features.audit.documented import SecureAuditLogger
from notifications.features.privacy.documented import SecureNotificationData

__all__ = ["SecureAuditLogger", "SecureNotificationData"]
