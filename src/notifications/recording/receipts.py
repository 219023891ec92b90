"""A receipt on a message: settles doubt, stops a resend, and never turns `delivered` back."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce, NullIf

from notifications.domain.lifecycle import MessageStatus
from notifications.domain.receipts import CLOSES, SETTLES, STATUS_OF, Receipt, ReceiptKind
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
from notifications.queue import batches
from notifications.recording.contacts import close_contact
from notifications.recording.fallback import fall_back_from

_OF_NO_STATUS = frozenset({ReceiptKind.OPENED, ReceiptKind.CLICKED})
_TRIAL = "test"  # references of `send a test`: there is no row behind them


class Applied(StrEnum):
    """What became of a receipt."""

    APPLIED = "applied"
    NOTHING = "nothing"  # it says nothing that a message keeps
    LATER = "later"  # the message is in a provider's hands: its record comes first
    UNKNOWN = "unknown"  # no such message, or not yet


def apply_receipt(receipt: Receipt, *, provider: str, now: datetime) -> Applied:
    """Applies one receipt, in a transaction of its own. Doing it twice changes nothing more."""
    if receipt.kind in _OF_NO_STATUS or receipt.reference.startswith(_TRIAL):
        return Applied.NOTHING
    key = find_message(receipt, provider=provider)
    if key is None:
        return Applied.UNKNOWN
    with transaction.atomic():
        message = NotificationMessage.objects.select_related("notification").get(pk=key)
        batches.lock(message.batch_id)
        message.refresh_from_db()
        if _in_hand(message):
            return Applied.LATER
        if not _move(message, receipt, provider=provider, now=now):
            _note(message, receipt, provider=provider, at=now)
        _tell(message, receipt, provider=provider, at=now)
        if receipt.kind in CLOSES:
            _close(message, receipt, provider=provider)
    return Applied.APPLIED


def find_message(receipt: Receipt, *, provider: str) -> int | None:
    """The message that a receipt speaks of: by our reference, else by the vendor's id."""
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


def _in_hand(message: NotificationMessage) -> bool:
    """Whether a provider has the message at this moment, so that its outcome is not recorded."""
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
        fields["last_error"] = _words(receipt)
    reason = f"receipt:{provider}:{receipt.kind}"
    moved = change_status(
        [message.pk], status, reason=reason, at=now, only_from=SETTLES[status], fields=fields
    )
    if moved:
        BroadcastChange.objects.append([(message.notification.source, message.notification_id)])
    if moved and status is MessageStatus.FAILED:
        _bury(message, receipt, provider=provider, at=now)
        fall_back_from(message, why=receipt.code or str(receipt.kind), at=now)
    elif moved:
        _resolve(message, receipt, at=now)
    return bool(moved)


def _words(receipt: Receipt) -> str:
    return receipt.detail or receipt.code or receipt.kind


def _bury(message: NotificationMessage, receipt: Receipt, *, provider: str, at: datetime) -> None:
    code = receipt.code or str(receipt.kind)
    open_letters = DeadLetter.objects.filter(message_id=message.pk, resolved_at__isnull=True)
    if open_letters.update(code=code, last_error=_words(receipt), provider=provider):
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
        last_error=_words(receipt),
        attempts=message.attempts,
        failed_at=at,
    )
    telemetry.log_dead_letter(message.pk, code, message.attempts)


def _resolve(message: NotificationMessage, receipt: Receipt, *, at: datetime) -> None:
    DeadLetter.objects.filter(message_id=message.pk, resolved_at__isnull=True).update(
        resolution=DeadLetter.Resolution.SETTLED,
        resolution_reason=f"a receipt said {receipt.kind}",
        resolved_at=at,
    )


def _note(message: NotificationMessage, receipt: Receipt, *, provider: str, at: datetime) -> None:
    """What changes no status is a fact of the message all the same, once."""
    MessageEvent.objects.get_or_create(
        message_id=message.pk,
        kind=f"receipt_{receipt.kind}"[:20],
        reason=f"receipt:{provider}:{receipt.kind}",
        defaults={"at": at},
    )


def _tell(message: NotificationMessage, receipt: Receipt, *, provider: str, at: datetime) -> None:
    """What people did with a message is told beside its status."""
    kind = KIND_OF_FACT.get(receipt.kind)
    if kind is not None:
        event = StatusEvent(message_id=message.pk, kind=kind, code=f"receipt:{provider}", at=at)
        StatusEvent.objects.write([event])


def _close(message: NotificationMessage, receipt: Receipt, *, provider: str) -> None:
    address = receipt.address
    if message.user_id is None:  # our own spelling of a stranger's address
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
