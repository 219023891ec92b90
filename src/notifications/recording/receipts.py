"""Applies receipts: they resolve uncertain messages, stop resends, and never undo `delivered`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce, NullIf

from directory.models import User
from notifications.domain.analytics.counts import REPORT_COUNTS
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.receipts import CLOSES, SETTLES, STATUS_OF, Receipt, ReceiptKind
from notifications.domain.redaction import Known, redacted
from notifications.domain.status_events import KIND_OF_FACT
from notifications.infra import telemetry
from notifications.models import (
    BroadcastChange,
    DeadLetter,
    DeliveryAttempt,
    DeliveryBatch,
    MessageEvent,
    NotificationMessage,
    StatusEvent,
    change_status,
    unpack_keys,
)
from notifications.models.delivery.message import count_report
from notifications.queue import batches
from notifications.recording.contacts import close_contact
from notifications.recording.fallback import fall_back_from

_OF_NO_STATUS = frozenset({ReceiptKind.OPENED, ReceiptKind.CLICKED})
_TRIAL = "test"  # begins references of `send a test`, which have no row


class Applied(StrEnum):
    """What became of a receipt."""

    APPLIED = "applied"
    NOTHING = "nothing"  # it changes nothing that a message stores
    LATER = "later"  # the message is in flight: its record comes first
    UNKNOWN = "unknown"  # no such message, or not yet


def apply_receipt(receipt: Receipt, *, provider: str, now: datetime) -> Applied:
    """Applies one receipt in a transaction of its own. A second application changes nothing."""
    return apply_to(find_message(receipt, provider=provider), receipt, provider=provider, now=now)


def apply_to(key: int | None, receipt: Receipt, *, provider: str, now: datetime) -> Applied:
    """Does the same for a receipt whose message was found. key: None for an unknown message."""
    if receipt.kind in _OF_NO_STATUS or receipt.reference.startswith(_TRIAL):
        return Applied.NOTHING
    if key is None:
        return Applied.UNKNOWN
    with transaction.atomic():
        message = NotificationMessage.objects.select_related("notification").get(pk=key)
        batches.lock(message.batch_id)
        # The batch of a finished message is gone: its own row keeps two receipts apart.
        message.refresh_from_db(from_queryset=NotificationMessage.objects.select_for_update())
        if _is_in_flight(message):
            return Applied.LATER
        receipt = _redacted(receipt, message)
        is_new = _is_new_report(message, receipt, provider=provider)
        if not _move(message, receipt, provider=provider, now=now):
            _write_event(message, receipt, provider=provider, at=now)
        _write_status_event(message, receipt, provider=provider, at=now)
        if is_new:
            count_report(message.pk, receipt.kind.value)
        if receipt.kind in CLOSES:
            _close_contact(message, receipt, provider=provider)
    return Applied.APPLIED


def _is_new_report(message: NotificationMessage, receipt: Receipt, *, provider: str) -> bool:
    """Returns whether it says what a person did, and no receipt of this provider said so before."""
    if receipt.kind not in REPORT_COUNTS:
        return False
    reason = f"receipt:{provider}:{receipt.kind}"
    return not MessageEvent.objects.filter(message_id=message.pk, reason=reason).exists()


def _redacted(receipt: Receipt, message: NotificationMessage) -> Receipt:
    """Returns a receipt whose stored texts have no addresses, tokens and names."""
    if not (receipt.code or receipt.detail):
        return receipt
    user = User.objects.filter(pk=message.user_id or 0).first()
    names = [user.username, user.email, user.first_name, user.last_name] if user else []
    given = [user.phone_number, user.telegram_id] if user else []
    if message.user_id is None:
        given = [str(each) for each in (message.notification.address or {}).values()]
    known = Known([receipt.address, *given], (), names)
    return replace(
        receipt, code=redacted(receipt.code, known), detail=redacted(receipt.detail, known)
    )


def find_message(receipt: Receipt, *, provider: str) -> int | None:
    """Returns the message of a receipt: by our reference, else by the vendor's id."""
    if receipt.reference.startswith(_TRIAL):
        return None
    found = _by_reference(receipt.reference)
    if found is None and receipt.provider_message_id:
        attempts = DeliveryAttempt.objects.filter(provider_message_id=receipt.provider_message_id)
        if provider != "generic":
            attempts = attempts.filter(provider=provider)
        found = attempts.values_list("message_id", flat=True).first()
    return found


def _by_reference(reference: str) -> int | None:
    text, _, channel = reference.partition(".")
    try:
        uuid = UUID(hex=text)
    except ValueError:
        return None
    rows = NotificationMessage.objects.filter(notification__uuid=uuid, channel=channel)
    return rows.values_list("pk", flat=True).first()


def _is_in_flight(message: NotificationMessage) -> bool:
    """Returns whether the message is in flight: its outcome is not recorded yet."""
    if message.status != MessageStatus.PENDING or message.batch_id is None:
        return False
    rows = DeliveryBatch.objects.filter(pk=message.batch_id).values_list("journal", flat=True)
    return message.pk in unpack_keys(rows.first() or "")


def _move(message: NotificationMessage, receipt: Receipt, *, provider: str, now: datetime) -> bool:
    status = STATUS_OF.get(receipt.kind)
    if status is None:
        return False
    at = receipt.at or now
    fields: dict[str, object] = {"provider": Coalesce("provider", Value(provider))}
    if receipt.provider_message_id:
        known = NullIf("provider_message_id", Value(""))
        fields["provider_message_id"] = Coalesce(known, Value(receipt.provider_message_id))
    if status is not MessageStatus.FAILED:
        fields["sent_at"] = Coalesce("sent_at", Value(at))
        fields["last_error"] = None
    if status is MessageStatus.DELIVERED:
        fields["delivered_at"] = Coalesce("delivered_at", Value(at))
    if status is MessageStatus.FAILED:
        fields["last_error"] = _error_text(receipt)
    reason = f"receipt:{provider}:{receipt.kind}"
    moved = change_status(
        [message.pk], status, reason=reason, at=now, only_from=SETTLES[status], fields=fields
    )
    if moved:
        BroadcastChange.objects.append([(message.notification.source, message.notification_id)])
    if moved and status is MessageStatus.FAILED:
        _write_dead_letter(message, receipt, provider=provider, at=now)
        fall_back_from(message, why=receipt.code or str(receipt.kind), at=now)
    elif moved:
        _resolve_dead_letter(message, receipt, at=now)
    return bool(moved)


def _error_text(receipt: Receipt) -> str:
    return receipt.detail or receipt.code or receipt.kind


def _write_dead_letter(
    message: NotificationMessage, receipt: Receipt, *, provider: str, at: datetime
) -> None:
    code = receipt.code or str(receipt.kind)
    open_letters = DeadLetter.objects.filter(message_id=message.pk, resolved_at__isnull=True)
    if open_letters.update(code=code, last_error=_error_text(receipt), provider=provider):
        return
    notification = message.notification
    DeadLetter.objects.create(
        message_id=message.pk,
        notification_id=message.notification_id,
        channel=message.channel,
        provider=provider,
        category=notification.category.key,
        template_version_id=notification.template_version_id,
        code=code,
        last_error=_error_text(receipt),
        attempts=message.attempts,
        failed_at=at,
    )
    telemetry.log_dead_letter(message.pk, code, message.attempts)


def _resolve_dead_letter(message: NotificationMessage, receipt: Receipt, *, at: datetime) -> None:
    DeadLetter.objects.filter(message_id=message.pk, resolved_at__isnull=True).update(
        resolution=DeadLetter.Resolution.SETTLED,
        resolution_reason=f"a receipt said {receipt.kind}",
        resolved_at=at,
    )


def _write_event(
    message: NotificationMessage, receipt: Receipt, *, provider: str, at: datetime
) -> None:
    """Writes an event, once, for a receipt that changes no status."""
    MessageEvent.objects.get_or_create(
        message_id=message.pk,
        kind=f"receipt_{receipt.kind}"[:20],
        reason=f"receipt:{provider}:{receipt.kind}",
        defaults={"at": at},
    )


def _write_status_event(
    message: NotificationMessage, receipt: Receipt, *, provider: str, at: datetime
) -> None:
    """Writes a status event for what a person did with a message."""
    kind = KIND_OF_FACT.get(receipt.kind)
    if kind is not None:
        event = StatusEvent(message_id=message.pk, kind=kind, code=f"receipt:{provider}", at=at)
        StatusEvent.objects.write([event])


def _close_contact(message: NotificationMessage, receipt: Receipt, *, provider: str) -> None:
    address = receipt.address
    if message.user_id is None:  # the address as the sender spelled it
        given = message.notification.address or {}
        address = str(next(iter(given.values()), "")) or address
    if not address:
        return
    words = {
        ReceiptKind.COMPLAINED: "complained",
        ReceiptKind.UNSUBSCRIBED: "unsubscribed",
        ReceiptKind.BLOCKED: "blocked",
    }
    close_contact(
        channel=message.channel,
        user_id=message.user_id,
        address=address,
        code=words.get(receipt.kind, receipt.code),
        reason=f"{provider}: {receipt.code or receipt.kind} {receipt.detail}".strip(),
    )
