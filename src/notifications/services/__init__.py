"""Use cases: one class a noun, keyword-only methods. Doors speak to these and to nothing below.

The names that the source documents import from here are exported: the classes of the pipeline
itself, not copies. Each is loaded at its first use, so that a process loads what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from notifications.delivery.base import NotificationChannelProvider
    from notifications.delivery.providers.email.ses import AWSSESEmailProvider
    from notifications.delivery.providers.push.fcm import FCMPushProvider
    from notifications.delivery.providers.sms.twilio import TwilioSMSProvider
    from notifications.domain.messages import DeliveryResult
    from notifications.services.engine import NotificationDeliveryEngine
    from notifications.services.notification import NotificationService
    from notifications.services.operations import OperationsService
    from notifications.services.preferences import PreferenceService
    from notifications.services.user_preferences import UserPreferenceService

_MODULES = {
    "AWSSESEmailProvider": "notifications.delivery.providers.email.ses",
    "DeliveryResult": "notifications.domain.messages",
    "FCMPushProvider": "notifications.delivery.providers.push.fcm",
    "NotificationChannelProvider": "notifications.delivery.base",
    "NotificationDeliveryEngine": "notifications.services.engine",
    "NotificationService": "notifications.services.notification",
    "OperationsService": "notifications.services.operations",
    "PreferenceService": "notifications.services.preferences",
    "TwilioSMSProvider": "notifications.delivery.providers.sms.twilio",
    "UserPreferenceService": "notifications.services.user_preferences",
}

__all__ = [
    "AWSSESEmailProvider",
    "DeliveryResult",
    "FCMPushProvider",
    "NotificationChannelProvider",
    "NotificationDeliveryEngine",
    "NotificationService",
    "OperationsService",
    "PreferenceService",
    "TwilioSMSProvider",
    "UserPreferenceService",
]


def __getattr__(name: str) -> Any:
    """Loads an exported name (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
