"""Use cases: one class a noun, keyword-only methods. Doors speak to these and to nothing below.

The names that the source documents import from here are exported: the classes of the pipeline
itself, not copies.
"""

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
