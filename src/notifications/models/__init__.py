"""The rows. One file a concept; import them from here."""

from notifications.models.access import SCOPES, ApiKey, IdempotencyKey
from notifications.models.attachment import StoredAttachment, attachments_of
from notifications.models.batch import (
    BATCH_SIZE,
    DeliveryBatch,
    WorkerProcess,
    pack_keys,
    unpack_keys,
)
from notifications.models.broadcast import Broadcast, BroadcastRecipient, change_broadcast_status
from notifications.models.broadcast_news import BroadcastNews
from notifications.models.callback import ProviderCallback
from notifications.models.category import Category, CrashPolicy, LegalBasis
from notifications.models.consent import DATA_PROCESSING, MARKETING, ConsentRecord, LedgerError
from notifications.models.digest import DigestBucket, DigestItem
from notifications.models.event import DeliveryAttempt, LateOutcome, MessageEvent
from notifications.models.frequency import FrequencyCount
from notifications.models.item_fault import ItemFault, Work
from notifications.models.job import Job
from notifications.models.keys import KeyCounter, reserve_keys
from notifications.models.loop import KnownLoop, LoopReport, PeriodicLoop
from notifications.models.message import NotificationMessage, change_status
from notifications.models.notification import Notification, ScheduledStatus, change_scheduled
from notifications.models.operations import (
    AskedUpTo,
    DeadLetter,
    KillSwitch,
    OperatorAction,
    OperatorAlert,
    SandboxMessage,
    WriteProbe,
)
from notifications.models.preference import (
    NotificationCategoryPreference,
    UserNotificationPreference,
    default_consent,
)
from notifications.models.provider_config import ProviderConfig
from notifications.models.provider_flow import ChatFlow, ProviderFlow
from notifications.models.queued_task import QueuedTask
from notifications.models.refusal import RefusedSend
from notifications.models.schedule import (
    ScheduleClock,
    ScheduleMember,
    ScheduleOccurrence,
    ScheduleSeries,
    SeriesStatus,
)
from notifications.models.sms import InboundSms, SmsCharge, SmsSpend
from notifications.models.status_webhook import StatusEvent, WebhookDelivery, WebhookEndpoint
from notifications.models.template import (
    CONTENT_FIELDS,
    NotificationTemplate,
    TemplatePin,
    TemplateStatus,
    TemplateVersion,
    all_texts,
    pins_of,
)
from notifications.models.template_stop import TemplateOverrun
from notifications.models.template_usage import TemplateUsage
from notifications.models.throttle import ThrottleCount
from notifications.models.token import PersonToken

__all__ = [
    "BATCH_SIZE",
    "CONTENT_FIELDS",
    "DATA_PROCESSING",
    "MARKETING",
    "SCOPES",
    "ApiKey",
    "AskedUpTo",
    "Broadcast",
    "BroadcastNews",
    "BroadcastRecipient",
    "Category",
    "ChatFlow",
    "ConsentRecord",
    "CrashPolicy",
    "DeadLetter",
    "DeliveryAttempt",
    "DeliveryBatch",
    "DigestBucket",
    "DigestItem",
    "FrequencyCount",
    "IdempotencyKey",
    "InboundSms",
    "ItemFault",
    "Job",
    "KeyCounter",
    "KillSwitch",
    "KnownLoop",
    "LateOutcome",
    "LedgerError",
    "LegalBasis",
    "LoopReport",
    "MessageEvent",
    "Notification",
    "NotificationCategoryPreference",
    "NotificationMessage",
    "NotificationTemplate",
    "OperatorAction",
    "OperatorAlert",
    "PeriodicLoop",
    "PersonToken",
    "ProviderCallback",
    "ProviderConfig",
    "ProviderFlow",
    "QueuedTask",
    "RefusedSend",
    "SandboxMessage",
    "ScheduleClock",
    "ScheduleMember",
    "ScheduleOccurrence",
    "ScheduleSeries",
    "ScheduledStatus",
    "SeriesStatus",
    "SmsCharge",
    "SmsSpend",
    "StatusEvent",
    "StoredAttachment",
    "TemplateOverrun",
    "TemplatePin",
    "TemplateStatus",
    "TemplateUsage",
    "TemplateVersion",
    "ThrottleCount",
    "UserNotificationPreference",
    "WebhookDelivery",
    "WebhookEndpoint",
    "Work",
    "WorkerProcess",
    "WriteProbe",
    "all_texts",
    "attachments_of",
    "change_broadcast_status",
    "change_scheduled",
    "change_status",
    "default_consent",
    "pack_keys",
    "pins_of",
    "reserve_keys",
    "unpack_keys",
]
