"""Files, raw receipts and incoming texts, and the failures that broadcasts list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from django.db.models import BinaryField, Count, ExpressionWrapper, F, QuerySet

from notifications.delivery.callbacks.base import CallbackUnreadable, IncomingCall
from notifications.delivery.registry import CALLBACKS, callback_reader
from notifications.domain.redaction import redacted
from notifications.features.receipts.inbound_sms import key_of_sender
from notifications.features.receipts.owners import keys_of_messages, seal_call
from notifications.features.sealing.contents import resealed
from notifications.features.sealing.owners import Owner, Owners
from notifications.features.sealing.values import SealedPage
from notifications.infra.crypto import seal_json
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    InboundSms,
    NotificationMessage,
    ProviderCallback,
    StoredAttachment,
)
from notifications.models.fields import EMPTIED, CellHead
from notifications.recording.receipts import find_message
from vault.cells import Key, SealBroken, key_id_of_head
from vault.models import DataKey
from vault.store import create_keys

FILES_AT_ONCE = 5
_REASONS = 50
NewColumns = tuple[int, bytes, dict[str, Any]]
"""The key of a row, its old cell, and its new columns."""
log = structlog.get_logger("carillon.sealing")


def files(after: int, last: int, count: int) -> SealedPage:
    """Seals files again: of one person under their key, of several under a key of its own."""
    rows = StoredAttachment.objects.filter(pk__gt=after, pk__lte=last).order_by("pk")
    found = list(rows[: min(count, FILES_AT_ONCE)])
    old = [row for row in found if row.key_id is None and not _is_of_unknown(row)]
    made = [(row.pk, _file_values(row, _key_of_file(row))) for row in old]
    values = [(pk, columns) for pk, columns in made if columns is not None]
    return SealedPage(found[-1].pk if found else last, len(found), partial(_write_files, values))


def _is_of_unknown(row: StoredAttachment) -> bool:
    """Whether the address of its only recipient could not be read, so that nothing tells the owner.

    Notifications were sealed before: an address under the service's key is one that was left.
    """
    if row.is_shared:
        return False
    sends = NotificationMessage.objects.filter(
        pk=row.first_key, user__isnull=True, notification__address__isnull=False
    )
    head = sends.annotate(head=CellHead("notification__address")).values_list("head", flat=True)
    return any(key_id_of_head(each) is None for each in head)


def _key_of_file(row: StoredAttachment) -> Key | None:
    if not row.is_shared:
        return next(iter(keys_of_messages([row.first_key])), None)
    (made,) = create_keys(1, DataKey.Kind.FILE)
    return made


def _file_values(row: StoredAttachment, key: Key | None) -> dict[str, Any] | None:
    """Returns the new columns; empty where its only recipient is gone.

    None where it cannot be read: then it stays as it is.
    """
    if key is None:
        return {}
    try:
        return {
            "about": resealed(bytes(row.about), key, None),
            "content": resealed(bytes(row.content), key, None),
            "key_id": key.id,
        }
    except SealBroken:
        log.error("sealing.unreadable", table=row._meta.db_table, row=row.pk)
        return None


def _write_files(values: Sequence[tuple[int, dict[str, Any]]]) -> int:
    for pk, columns in values:
        rows = StoredAttachment.objects.filter(pk=pk, key_id=None)
        if columns:
            rows.update(**columns)
        else:
            rows.delete()
    return len(values)


def callbacks(after: int, last: int, count: int) -> SealedPage:
    """Seals raw receipts under the key of the person or address whose message they name.

    Those that wait for a message, and those that cannot be read, stay under the service's key.
    """
    rows = ProviderCallback.objects.filter(pk__gt=after, pk__lte=last).order_by("pk")
    found = list(_with_cell(rows, "call")[:count])
    values: list[NewColumns] = []
    for row in found:
        if row.key_id is None and row.call is not None and row.state != row.State.UNREADABLE:
            before = row.call
            seal_call(row, _messages_of(row))
            if row.call is not before:
                values.append((row.pk, bytes(row.cell), {"call": row.call, "key_id": row.key_id}))
    position = found[-1].pk if found else last
    return SealedPage(
        position, len(found), partial(_write_values, ProviderCallback, "call", values)
    )


def _messages_of(row: ProviderCallback) -> list[int | None]:
    if row.provider not in CALLBACKS:
        return []
    try:
        receipts = callback_reader(row.provider).read(IncomingCall.from_json(row.call))
    except CallbackUnreadable:
        return []
    return [find_message(receipt, provider=row.provider) for receipt in receipts]


def _with_cell(rows: QuerySet[Any], column: str) -> QuerySet[Any]:
    """Returns the rows with the stored bytes of a sealed column as `cell`."""
    found: QuerySet[Any] = rows.annotate(
        cell=ExpressionWrapper(F(column), output_field=BinaryField())
    )
    return found


def _write_values(model: Any, column: str, values: Sequence[NewColumns]) -> int:
    """Writes rows whose cell is still the old one; returns how many."""
    rows = _with_cell(model.objects.filter(key_id=None), column)
    return sum(rows.filter(pk=pk, cell=cell).update(**columns) for pk, cell, columns in values)


def texts(after: int, last: int, count: int) -> SealedPage:
    """Seals incoming texts under the key of the only user with the number, or of the number."""
    rows = InboundSms.objects.filter(pk__gt=after, pk__lte=last).order_by("pk")
    found = list(_with_cell(rows, "content")[:count])
    values: list[NewColumns] = []
    for row in found:
        if row.key_id is None and row.content:
            key = key_of_sender(row.users, str(row.content.get("from", "")))
            content = EMPTIED if key is None else seal_json(row.content, key)
            columns = {"content": content, "key_id": key.id if key else None}
            values.append((row.pk, bytes(row.cell), columns))
    position = found[-1].pk if found else last
    return SealedPage(position, len(found), partial(_write_values, InboundSms, "content", values))


def broadcasts(after: int, last: int, count: int) -> SealedPage:
    """Replaces addresses and names in the failures that broadcasts list and count."""
    rows = Broadcast.objects.filter(pk__gt=after, pk__lte=last).order_by("pk")
    keys = list(rows.values_list("pk", flat=True)[:count])
    return SealedPage(keys[-1] if keys else last, len(keys), partial(_redact_broadcasts, keys))


def _redact_broadcasts(keys: Sequence[int]) -> int:
    rows = Broadcast.objects.select_for_update().filter(pk__in=keys).order_by("pk")
    changed = 0
    for row in rows.only("error_log", "error_reasons"):
        if not (row.error_log or row.error_reasons):
            continue
        row.error_log = _redacted_log(row.error_log)
        row.error_reasons = _reasons_of(row.pk) if row.error_reasons else {}
        row.save(update_fields=["error_log", "error_reasons"])
        changed += 1
    return changed


def _redacted_log(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    owners = [Owner(entry.get("recipient_id"), None) for entry in entries]
    known = Owners([]).known_of(owners)
    return [
        {**entry, "error": redacted(str(entry.get("error", "")), known[owner])}
        for entry, owner in zip(entries, owners, strict=True)
    ]


def _reasons_of(broadcast_id: int) -> dict[str, int]:
    """Returns the most frequent reasons of the failed recipients, whose rows were done before."""
    failed = BroadcastRecipient.objects.filter(
        broadcast_id=broadcast_id, state=BroadcastRecipient.State.FAILED
    )
    counts = failed.exclude(error=None).values_list("error").annotate(count=Count("pk"))
    return dict(counts.order_by("-count")[:_REASONS])
