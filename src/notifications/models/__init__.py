"""The models, one file for each concept, in groups. Import them from here."""

from notifications.domain.scopes import SCOPES
from notifications.models.access.api_keys import ApiKey, IdempotencyKey
from notifications.models.access.invitation import StaffInvitation
from notifications.models.access.shared_mark import SharedMark
from notifications.models.access.sign_in import SignIn
from notifications.models.access.staff_group import (
    StaffGroup,
    StaffGroupCategory,
    StaffGroupMember,
)
from notifications.models.access.throttle import ThrottleCount
from notifications.models.access.token import PersonToken
from notifications.models.analytics.delta import MetricDelta
from notifications.models.analytics.goal import Conversion, Goal, PersonEvent
from notifications.models.analytics.rollup import MetricRollup, MetricSpan, MetricState
from notifications.models.audit.tree import (
    LETS_GO,
    AuditCheckpoint,
    AuditHead,
    AuditLeaf,
    AuditNode,
    AuditQueued,
    LeafKind,
)
from notifications.models.content.category import Category, CrashPolicy, LegalBasis
from notifications.models.content.template import (
    CONTENT_FIELDS,
    NotificationTemplate,
    TemplatePin,
    TemplateStatus,
    TemplateVersion,
    all_texts,
    pins_of,
)
from notifications.models.content.template_stop import TemplateOverrun
from notifications.models.content.template_usage import TemplateUsage
from notifications.models.delivery.attachment import StoredAttachment, attachments_of
from notifications.models.delivery.batch import (
    BATCH_SIZE,
    DeliveryBatch,
    WorkerProcess,
    pack_keys,
    unpack_keys,
)
from notifications.models.delivery.digest import DigestBucket, DigestItem
from notifications.models.delivery.event import DeliveryAttempt, LateOutcome, MessageEvent
from notifications.models.delivery.frequency import FrequencyCount
from notifications.models.delivery.job import Job
from notifications.models.delivery.message import NotificationMessage, change_status
from notifications.models.delivery.notification import (
    Notification,
    ScheduledStatus,
    change_scheduled,
)
from notifications.models.experiments.ab_test import (
    ABTestEnd,
    ABTestMetric,
    ABTestStatus,
    NotificationABTest,
)
from notifications.models.inbox.arrival import UNREAD, InboxArrival
from notifications.models.inbox.change import ChangeKind, InboxChange
from notifications.models.inbox.counter import InboxCounter
from notifications.models.inbox.epoch import InboxEpoch
from notifications.models.inbox.presence import LastSeen, Presence, WebProcess
from notifications.models.keys import KeyCounter, reserve_keys
from notifications.models.learning.hand_over import LearningDelta
from notifications.models.learning.hours import EngagementHours, EngagementPrior
from notifications.models.operations.installation import InstallationState
from notifications.models.operations.item_fault import ItemFault, Work
from notifications.models.operations.loop import KnownLoop, LoopReport, PeriodicLoop
from notifications.models.operations.operators import (
    DeadLetter,
    KillSwitch,
    OperatorAction,
    OperatorAlert,
    ReceiptPollCursor,
    SandboxMessage,
    WriteProbe,
)
from notifications.models.operations.queued_task import QueuedTask
from notifications.models.operations.sealing import SealingProgress
from notifications.models.operations.status_webhook import (
    StatusEvent,
    WebhookDelivery,
    WebhookEndpoint,
)
from notifications.models.people.consent import (
    DATA_PROCESSING,
    MARKETING,
    ConsentRecord,
    LedgerError,
)
from notifications.models.people.erasure import Erasure, ErasureState, LegalHold
from notifications.models.people.export import DataExport, DataExportPart, ExportState
from notifications.models.people.preference import (
    NotificationCategoryPreference,
    UserNotificationPreference,
    default_consent,
)
from notifications.models.people.refusal import RefusedSend
from notifications.models.providers.callback import ProviderCallback
from notifications.models.providers.provider_config import ProviderConfig
from notifications.models.providers.provider_flow import ChatFlow, ProviderFlow
from notifications.models.providers.sms import InboundSender, InboundSms, SmsCharge, SmsSpend
from notifications.models.retention.progress import RetentionLeftover, RetentionProgress
from notifications.models.sources.broadcast import (
    Broadcast,
    BroadcastRecipient,
    change_broadcast_status,
)
from notifications.models.sources.broadcast_change import BroadcastChange
from notifications.models.sources.campaign import Campaign, CampaignHoldout
from notifications.models.sources.mail_series import (
    MailSeries,
    MailSeriesVersion,
    SeriesEnrollment,
    SeriesHandover,
    SeriesStepCount,
)
from notifications.models.sources.schedule import (
    ScheduleClock,
    ScheduleMember,
    ScheduleOccurrence,
    ScheduleSeries,
    SeriesStatus,
)
from notifications.models.tracking.analytics import NotificationAnalytics
from notifications.models.tracking.event import TrackingEvent

__all__ = [
    "BATCH_SIZE",
    "CONTENT_FIELDS",
    "DATA_PROCESSING",
    "LETS_GO",
    "MARKETING",
    "SCOPES",
    "UNREAD",
    "ABTestEnd",
    "ABTestMetric",
    "ABTestStatus",
    "ApiKey",
    "AuditCheckpoint",
    "AuditHead",
    "AuditLeaf",
    "AuditNode",
    "AuditQueued",
    "Broadcast",
    "BroadcastChange",
    "BroadcastRecipient",
    "Campaign",
    "CampaignHoldout",
    "Category",
    "ChangeKind",
    "ChatFlow",
    "ConsentRecord",
    "Conversion",
    "CrashPolicy",
    "DataExport",
    "DataExportPart",
    "DeadLetter",
    "DeliveryAttempt",
    "DeliveryBatch",
    "DigestBucket",
    "DigestItem",
    "EngagementHours",
    "EngagementPrior",
    "Erasure",
    "ErasureState",
    "ExportState",
    "FrequencyCount",
    "Goal",
    "IdempotencyKey",
    "InboundSender",
    "InboundSms",
    "InboxArrival",
    "InboxChange",
    "InboxCounter",
    "InboxEpoch",
    "InstallationState",
    "ItemFault",
    "Job",
    "KeyCounter",
    "KillSwitch",
    "KnownLoop",
    "LastSeen",
    "LateOutcome",
    "LeafKind",
    "LearningDelta",
    "LedgerError",
    "LegalBasis",
    "LegalHold",
    "LoopReport",
    "MailSeries",
    "MailSeriesVersion",
    "MessageEvent",
    "MetricDelta",
    "MetricRollup",
    "MetricSpan",
    "MetricState",
    "Notification",
    "NotificationABTest",
    "NotificationAnalytics",
    "NotificationCategoryPreference",
    "NotificationMessage",
    "NotificationTemplate",
    "OperatorAction",
    "OperatorAlert",
    "PeriodicLoop",
    "PersonEvent",
    "PersonToken",
    "Presence",
    "ProviderCallback",
    "ProviderConfig",
    "ProviderFlow",
    "QueuedTask",
    "ReceiptPollCursor",
    "RefusedSend",
    "RetentionLeftover",
    "RetentionProgress",
    "SandboxMessage",
    "ScheduleClock",
    "ScheduleMember",
    "ScheduleOccurrence",
    "ScheduleSeries",
    "ScheduledStatus",
    "SealingProgress",
    "SeriesEnrollment",
    "SeriesHandover",
    "SeriesStatus",
    "SeriesStepCount",
    "SharedMark",
    "SignIn",
    "SmsCharge",
    "SmsSpend",
    "StaffGroup",
    "StaffGroupCategory",
    "StaffGroupMember",
    "StaffInvitation",
    "StatusEvent",
    "StoredAttachment",
    "TemplateOverrun",
    "TemplatePin",
    "TemplateStatus",
    "TemplateUsage",
    "TemplateVersion",
    "ThrottleCount",
    "TrackingEvent",
    "UserNotificationPreference",
    "WebProcess",
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
