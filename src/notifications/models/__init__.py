"""The rows. One file a concept; import them from here."""

from notifications.models.access import SCOPES, ApiKey, IdempotencyKey
from notifications.models.batch import (
    BATCH_SIZE,
    DeliveryBatch,
    WorkerProcess,
    pack_keys,
    unpack_keys,
)
from notifications.models.category import Category, CrashPolicy, LegalBasis
from notifications.models.event import DeliveryAttempt, LateOutcome, MessageEvent
from notifications.models.job import Job
from notifications.models.keys import KeyCounter, reserve_keys
from notifications.models.message import NotificationMessage, change_status
from notifications.models.notification import Notification, ScheduledStatus
from notifications.models.operations import (
    DeadLetter,
    KillSwitch,
    OperatorAction,
    SandboxMessage,
)
from notifications.models.template import (
    CONTENT_FIELDS,
    NotificationTemplate,
    TemplateStatus,
    TemplateVersion,
)

__all__ = [
    "BATCH_SIZE",
    "CONTENT_FIELDS",
    "SCOPES",
    "ApiKey",
    "Category",
    "CrashPolicy",
    "DeadLetter",
    "DeliveryAttempt",
    "DeliveryBatch",
    "IdempotencyKey",
    "Job",
    "KeyCounter",
    "KillSwitch",
    "LateOutcome",
    "LegalBasis",
    "MessageEvent",
    "Notification",
    "NotificationMessage",
    "NotificationTemplate",
    "OperatorAction",
    "SandboxMessage",
    "ScheduledStatus",
    "TemplateStatus",
    "TemplateVersion",
    "WorkerProcess",
    "change_status",
    "pack_keys",
    "reserve_keys",
    "unpack_keys",
]
