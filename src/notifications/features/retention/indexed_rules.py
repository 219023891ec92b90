"""The rules whose rows an index finds. The upkeep loop deletes them, the oldest first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import Model, QuerySet

from notifications.features.retention.count_rules import COUNTS
from notifications.features.retention.rules import DELETED, IndexedRule, days_of, older_than
from notifications.infra.conf import environment
from notifications.models import (
    Conversion,
    DataExport,
    DataExportPart,
    DigestBucket,
    DigestItem,
    FrequencyCount,
    IdempotencyKey,
    InboundSms,
    ItemFault,
    PersonEvent,
    Presence,
    ProviderCallback,
    ProviderFlow,
    QueuedTask,
    RefusedSend,
    SeriesHandover,
    SharedMark,
    SignIn,
    SmsCharge,
    SmsSpend,
    StaffInvitation,
    StatusEvent,
    StoredAttachment,
    TemplateOverrun,
    TemplateUsage,
    ThrottleCount,
    TrackingEvent,
    WebhookDelivery,
    WebProcess,
)


def _keys(now: datetime) -> QuerySet[IdempotencyKey]:
    before = now - timedelta(hours=environment().idempotency_hours)
    return IdempotencyKey.objects.filter(created_at__lt=before).order_by("created_at")


def _by_day(model: type[Model], setting: str, *order: str) -> Callable[[datetime], QuerySet[Any]]:
    def due(now: datetime) -> QuerySet[Any]:
        found = model._default_manager.filter(day__lt=(now - days_of(setting)).date())
        return found.order_by("day", *order)

    return due


def _idle(now: datetime) -> QuerySet[ProviderFlow]:
    before = now - days_of("idle_service_retention_days")
    return ProviderFlow.objects.idle(ProviderFlow.objects.all(), before=before)


def _files(now: datetime) -> QuerySet[StoredAttachment]:
    return StoredAttachment.objects.filter(keep_until__lt=now).order_by("keep_until")


INDEXED: tuple[IndexedRule, ...] = (
    *COUNTS,
    IndexedRule(
        name="events of people",
        models=(PersonEvent,),
        happens=DELETED,
        when="events that callers reported",
        setting="event_retention_days",
        cost="300 bytes and the length of the properties, encrypted",
        due=older_than(PersonEvent, "received_at", "event_retention_days"),
        column="received_at",
        user="user_id",
    ),
    IndexedRule(
        name="steps of mail series",
        models=(SeriesHandover,),
        happens=DELETED,
        when="which mail of a series was handed over; the person's position stays",
        setting="facts_retention_days",
        cost="100 bytes a mail of a series",
        due=older_than(SeriesHandover, "at", "facts_retention_days"),
        column="at",
    ),
    IndexedRule(
        name="conversions",
        models=(Conversion,),
        happens=DELETED,
        when="conversions; the counts of their messages stay",
        setting="event_retention_days",
        cost="200 bytes",
        due=older_than(Conversion, "occurred_at", "event_retention_days"),
        column="occurred_at",
        user="user_id",
    ),
    IndexedRule(
        name="idempotency keys",
        models=(IdempotencyKey,),
        happens=DELETED,
        when="when the key is replayed no more",
        setting="idempotency_hours",
        cost="300 bytes and the stored response",
        due=_keys,
        column="created_at",
    ),
    IndexedRule(
        name="refused sends",
        models=(RefusedSend,),
        happens=DELETED,
        when="sends that were refused because the user opted out",
        setting="refused_send_retention_days",
        cost="300 bytes a refused send",
        due=older_than(RefusedSend, "at", "refused_send_retention_days"),
        column="at",
        user="user_id",
    ),
    IndexedRule(
        name="frequency counts",
        models=(FrequencyCount,),
        happens=DELETED,
        when="when the window of the count has ended",
        cost="200 bytes a user and limit",
        due=older_than(FrequencyCount, "until"),
        column="until",
    ),
    IndexedRule(
        name="digests",
        models=(DigestBucket, DigestItem),
        happens=DELETED,
        when="digests that were sent, with their items; `explain` names them until then",
        setting="digest_retention_days",
        cost="200 bytes a digest and 150 an item",
        due=older_than(DigestBucket, "closed_at", "digest_retention_days", "pk"),
        column="closed_at",
        user="user_id",
    ),
    IndexedRule(
        name="callbacks",
        models=(ProviderCallback,),
        happens=DELETED,
        when="raw receipts that were applied or given up",
        setting="callback_retention_days",
        cost="1 to 3 kB a receipt, encrypted",
        due=older_than(
            ProviderCallback, "received_at", "callback_retention_days", "pk", next_at__isnull=True
        ),
        column="received_at",
    ),
    IndexedRule(
        name="status events",
        models=(StatusEvent,),
        happens=DELETED,
        when="events of messages for status webhooks; they can be replayed until then",
        setting="status_event_retention_days",
        cost="130 bytes an event",
        due=older_than(StatusEvent, "at", "status_event_retention_days", "pk"),
        column="at",
    ),
    IndexedRule(
        name="webhook deliveries",
        models=(WebhookDelivery,),
        happens=DELETED,
        when="deliveries that still wait when their event is deleted",
        setting="status_event_retention_days",
        cost="250 bytes an event and endpoint",
        due=older_than(WebhookDelivery, "created_at", "status_event_retention_days", "pk"),
        column="created_at",
    ),
    IndexedRule(
        name="opens and clicks",
        models=(TrackingEvent,),
        happens=DELETED,
        when="the evidence of opens and clicks; what was counted of it stays",
        setting="tracking_event_retention_days",
        cost="500 bytes an open or click, of which 350 encrypted",
        due=older_than(TrackingEvent, "at", "tracking_event_retention_days"),
        column="at",
        user="user_id",
    ),
    IndexedRule(
        name="SMS charges",
        models=(SmsCharge,),
        happens=DELETED,
        when="the charge of each SMS; the sums of days stay longer",
        setting="sms_charge_retention_days",
        cost="100 bytes an SMS",
        due=_by_day(SmsCharge, "sms_charge_retention_days", "message_id"),
        column="day",
    ),
    IndexedRule(
        name="SMS sums",
        models=(SmsSpend,),
        happens=DELETED,
        when="the sum of a day",
        setting="facts_retention_days",
        cost="60 bytes a day",
        due=_by_day(SmsSpend, "facts_retention_days"),
        column="day",
    ),
    IndexedRule(
        name="template usage",
        models=(TemplateUsage,),
        happens=DELETED,
        when="the counts of a day",
        setting="facts_retention_days",
        cost="150 bytes a version, channel, language and day",
        due=_by_day(TemplateUsage, "facts_retention_days"),
        column="day",
    ),
    IndexedRule(
        name="inbound SMS",
        models=(InboundSms,),
        happens=DELETED,
        when="incoming SMS; the consent ledger stores what STOP and START did",
        setting="inbound_sms_retention_days",
        cost="300 bytes an SMS",
        due=older_than(InboundSms, "received_at", "inbound_sms_retention_days"),
        column="received_at",
    ),
    IndexedRule(
        name="item faults",
        models=(ItemFault,),
        happens=DELETED,
        when="failures of periodic work; an item that is set aside fails again every day",
        setting="item_fault_retention_days",
        cost="250 bytes an item",
        due=older_than(ItemFault, "failed_at", "item_fault_retention_days"),
        column="failed_at",
    ),
    IndexedRule(
        name="overruns",
        models=(TemplateOverrun,),
        happens=DELETED,
        when="counts of renders over the limit; a stopped version stays stopped",
        setting="overrun_retention_days",
        cost="100 bytes a version and source",
        due=lambda now: TemplateOverrun.objects.filter(
            last_at__lt=now - days_of("overrun_retention_days")
        ),
        column="last_at",
        small=True,
    ),
    IndexedRule(
        name="queued tasks",
        models=(QueuedTask,),
        happens=DELETED,
        when="tasks that have ended, with their results",
        setting="queued_task_retention_days",
        cost="400 bytes a task",
        due=older_than(QueuedTask, "ended_at", "queued_task_retention_days"),
        column="ended_at",
    ),
    IndexedRule(
        name="throttle counts",
        models=(ThrottleCount,),
        happens=DELETED,
        when="when the window of the count has ended",
        cost="200 bytes a caller",
        due=older_than(ThrottleCount, "until"),
        column="until",
    ),
    IndexedRule(
        name="sessions",
        models=(Session,),
        happens=DELETED,
        when="when the session has ended",
        cost="300 bytes a session",
        due=older_than(Session, "expire_date"),
        column="expire_date",
    ),
    IndexedRule(
        name="sign ins",
        models=(SignIn,),
        happens=DELETED,
        when="when the session, or the refresh token, has ended",
        cost="400 bytes a session or family of tokens",
        due=older_than(SignIn, "expires_at"),
        column="expires_at",
    ),
    IndexedRule(
        name="invitations of staff",
        models=(StaffInvitation,),
        happens=DELETED,
        when="invitations, counted from the end of their link",
        setting="invitation_retention_days",
        cost="200 bytes an invitation",
        due=older_than(StaffInvitation, "expires_at", "invitation_retention_days"),
        column="expires_at",
    ),
    IndexedRule(
        name="shared marks",
        models=(SharedMark,),
        happens=DELETED,
        when="marks of used codes, when the code is over",
        cost="150 bytes a used code",
        due=older_than(SharedMark, "until"),
        column="until",
    ),
    IndexedRule(
        name="presence",
        models=(WebProcess, Presence),
        happens=DELETED,
        when="who was connected to a web process whose lease has ended",
        cost="100 bytes a person who is connected",
        due=older_than(WebProcess, "lease_until"),
        column="lease_until",
        small=True,
    ),
    IndexedRule(
        name="idle services",
        models=(ProviderFlow,),
        happens=DELETED,
        when="limits and circuit breakers of services that were not used lately",
        setting="idle_service_retention_days",
        cost="200 bytes a service",
        due=_idle,
        column="last_success_at",
        small=True,
    ),
    IndexedRule(
        name="export parts",
        models=(DataExportPart,),
        happens=DELETED,
        when="a day after the export was requested",
        cost="what is stored about the person, compressed",
        due=older_than(DataExportPart, "expires_at"),
        column="expires_at",
    ),
    IndexedRule(
        name="exports",
        models=(DataExport,),
        happens=DELETED,
        when="a day after the export was requested",
        cost="200 bytes an export",
        due=older_than(DataExport, "expires_at"),
        column="expires_at",
    ),
    IndexedRule(
        name="attachments",
        models=(StoredAttachment,),
        happens=DELETED,
        when="files, counted from the time when the send is due, unless a message still needs them",
        setting="attachment_retention_days",
        cost="the size of the file, once a send",
        due=_files,
        column="keep_until",
        checks=True,
    ),
)
"""The rules whose rows an index finds."""
