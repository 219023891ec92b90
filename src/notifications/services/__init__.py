"""The documented names of classes that are defined elsewhere.

They are the classes of the pipeline itself, not copies. Each is loaded at its first use, so that a
process loads only what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from notifications.delivery.base import NotificationChannelProvider
    from notifications.delivery.vendors.fcm.send import FCMPushProvider
    from notifications.delivery.vendors.ses.send import AWSSESEmailProvider
    from notifications.delivery.vendors.twilio.send import TwilioSMSProvider
    from notifications.domain.messages import DeliveryResult
    from notifications.features.analytics.documented import NotificationAnalyticsService
    from notifications.features.experiments.documented import ABTestingService
    from notifications.features.operations.service import OperationsService
    from notifications.features.preferences.documented import UserPreferenceService
    from notifications.features.preferences.service import PreferenceService
    from notifications.features.sending.deliver_now import NotificationDeliveryEngine
    from notifications.features.sending.service import NotificationService
    from notifications.services.websocket import WebSocketNotificationService

_MODULES = {
    "ABTestingService": "notifications.features.experiments.documented",
    "AWSSESEmailProvider": "notifications.delivery.vendors.ses.send",
    "DeliveryResult": "notifications.domain.messages",
    "FCMPushProvider": "notifications.delivery.vendors.fcm.send",
    "NotificationAnalyticsService": "notifications.features.analytics.documented",
    "NotificationChannelProvider": "notifications.delivery.base",
    "NotificationDeliveryEngine": "notifications.features.sending.deliver_now",
    "NotificationService": "notifications.features.sending.service",
    "OperationsService": "notifications.features.operations.service",
    "PreferenceService": "notifications.features.preferences.service",
    "TwilioSMSProvider": "notifications.delivery.vendors.twilio.send",
    "UserPreferenceService": "notifications.features.preferences.documented",
    "WebSocketNotificationService": "notifications.services.websocket",
}

__all__ = [
    "ABTestingService",
    "AWSSESEmailProvider",
    "DeliveryResult",
    "FCMPushProvider",
    "NotificationAnalyticsService",
    "NotificationChannelProvider",
    "NotificationDeliveryEngine",
    "NotificationService",
    "OperationsService",
    "PreferenceService",
    "TwilioSMSProvider",
    "UserPreferenceService",
    "WebSocketNotificationService",
]


def __getattr__(name: str) -> Any:
    """Loads an exported name (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
