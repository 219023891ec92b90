"""The documented names that concern personal data."""

from notifications.features.audit.documented import SecureAuditLogger

__all__ = ["SecureAuditLogger"]
