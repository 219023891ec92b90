"""Notifications, messages and what belongs to them: sealed again under the key of their owner."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog
from django.db import connection

from notifications.domain.redaction import CODE, Known, redacted
from notifications.features.sealing.owners import Owner, Owners
from notifications.features.sealing.values import NewValue, SealedPage, write
from notifications.infra.crypto import seal, unseal
from notifications.models import AuditLeaf
from notifications.models.fields import EMPTIED
from vault.cells import FORMAT, Key, SealBroken

_RECORDED_WITHIN_MS = 600_000
log = structlog.get_logger("carillon.sealing")


class Cells(NamedTuple):
    """A table with sealed columns, error texts or trails.

    The rows that `source` reads begin with the id, the user and the sealed address; then come the
    sealed columns, the error texts, and the trail.
    """

    table: str
    #: SQL after FROM; `t` is the table.
    source: str
    #: SQL for the user and for the address.
    owner: str
    #: By column, what it has when its owner is gone.
    sealed: dict[str, bytes | None] = {}
    errors: tuple[str, ...] = ()
    has_trail: bool = False

    def page(self, after: int, last: int, count: int) -> SealedPage:
        """Reads rows in the order of keys, and seals them."""
        rows = self._read(after, last, count)
        owners = Owners(Owner(row[1], _bytes(row[2])) for row in rows)
        known = [row for row in rows if not owners.is_unknown(Owner(row[1], _bytes(row[2])))]
        changes = [change for row in known for change in self._sealed(row, owners)]
        changes += self._redacted(known, owners)
        position = rows[-1][0] if rows else last
        return SealedPage(position, len(rows), partial(write, self.table, changes))

    def _read(self, after: int, last: int, count: int) -> list[tuple[Any, ...]]:
        names = ", ".join(f"t.{name}" for name in (*self.sealed, *self.errors))
        names += f", {_TRAIL}" if self.has_trail else ""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT t.id, {self.owner}, {names} FROM {self.table} AS t {self.source}"  # noqa: S608
                " WHERE t.id > %s AND t.id <= %s ORDER BY t.id LIMIT %s",
                [after, last, count],
            )
            return list(cursor.fetchall())

    def _sealed(self, row: Sequence[Any], owners: Owners) -> list[NewValue]:
        owner = Owner(row[1], _bytes(row[2]))
        found = []
        for (column, empty), cell in zip(self.sealed.items(), row[3:], strict=False):
            old = _bytes(cell)
            if old and old[:1] != FORMAT:
                new = self._resealed(row[0], old, owners.key_of(owner), empty)
                found.append(NewValue(row[0], column, old, new))
        return [change for change in found if change.old != change.new]

    def _resealed(self, row: int, old: bytes, key: Key | None, empty: bytes | None) -> bytes | None:
        try:
            return resealed(old, key, empty)
        except SealBroken:
            log.error("sealing.unreadable", table=self.table, row=row)
            return old  # it cannot be read at all

    def _redacted(self, rows: Sequence[Sequence[Any]], owners: Owners) -> list[NewValue]:
        first = 3 + len(self.sealed)
        failed = [row for row in rows if any(row[first:])]
        if not failed:
            return []
        known = owners.known_of(Owner(row[1], _bytes(row[2])) for row in failed)
        changes = []
        audited_from = _first_slice_ms() if self.has_trail else None
        for row in failed:
            about = known[Owner(row[1], _bytes(row[2]))]
            for column, text in zip(self.errors, row[first:], strict=False):
                changes.append(NewValue(row[0], column, text, redacted(text or "", about)))
            if self.has_trail and row[-1]:
                is_audited = partial(_is_audited, row[0], audited_from)
                new = redacted_trail(row[-1], about, is_audited)
                changes.append(NewValue(row[0], "trail", row[-1], new))
        return [change for change in changes if change.old and change.old != change.new]


def resealed(old: bytes, key: Key | None, empty: bytes | None) -> bytes | None:
    """Returns a cell under another key; `empty` where the key was erased, or its person deleted."""
    return empty if key is None else seal(unseal(old), key)


def redacted_trail(
    trail: str, known: Known, is_audited: Callable[[int], bool] = lambda _at: False
) -> str:
    """Returns a trail whose reasons have no addresses and names.

    Codes and keys of providers stay: they are no texts of vendors.

    is_audited: whether an audit leaf proves what was written at a time (Unix milliseconds). Such an
    entry was redacted before it was stored, and stays as it is.
    """
    entries = json.loads(f"[{trail}]")
    changed = []
    for at, event, reason in entries:
        text = reason if _is_code(reason) else redacted(str(reason), known)
        changed.append([at, event, reason if text != reason and is_audited(at) else text])
    if changed == entries:
        return trail
    return ",".join(json.dumps(entry, ensure_ascii=False) for entry in changed)


def _first_slice_ms() -> int | None:
    """Returns the time of the first audited slice; None where there is none."""
    slices = AuditLeaf.objects.filter(first_message__isnull=False)
    return slices.order_by("at_ms").values_list("at_ms", flat=True).first()


def _is_audited(message_id: int, first_ms: int | None, at: int) -> bool:
    """Whether a slice was recorded shortly after a time that may have the message."""
    if first_ms is None or at + _RECORDED_WITHIN_MS < first_ms:
        return False
    return AuditLeaf.objects.filter(
        at_ms__range=(at, at + _RECORDED_WITHIN_MS),
        first_message__lte=message_id,
        last_message__gte=message_id,
    ).exists()


def _is_code(reason: object) -> bool:
    """Whether a reason is a code or a key of a provider; an address or a token is none."""
    text = str(reason)
    return bool(CODE.fullmatch(text)) and redacted(text) == text


_TRAIL = "CASE WHEN t.last_error IS NOT NULL OR t.attempts > 1 THEN t.trail END"
"""SQL for a trail that may have an error text. Others are not read."""


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)


_OF_MESSAGE = (
    "LEFT JOIN notifications_notificationmessage m ON m.id = t.message_id"
    " LEFT JOIN notifications_notification n ON n.id = m.notification_id"
)
_OWNER = "m.user_id, n.address"
NOTIFICATIONS = Cells(
    "notifications_notification",
    "",
    "t.user_id, t.address",
    {"address": None, "text": None, "context": EMPTIED},
)
MESSAGES = Cells(
    "notifications_notificationmessage",
    "LEFT JOIN notifications_notification n ON n.id = t.notification_id",
    "t.user_id, n.address",
    {"content": None},
    ("last_error",),
    has_trail=True,
)
ATTEMPTS = Cells(
    "notifications_deliveryattempt", _OF_MESSAGE, _OWNER, {"response": None}, ("error",)
)
LATE_RESULTS = Cells("notifications_lateoutcome", _OF_MESSAGE, _OWNER, {}, ("error",))
DEAD_LETTERS = Cells(
    "notifications_deadletter", _OF_MESSAGE, _OWNER, {"last_result": None}, ("last_error",)
)
DIGEST_ITEMS = Cells(
    "notifications_digestitem",
    "LEFT JOIN notifications_digestbucket b ON b.id = t.bucket_id",
    "b.user_id, NULL",
    {"summary": EMPTIED},
)
SANDBOX = Cells("notifications_sandboxmessage", _OF_MESSAGE, _OWNER, {"content": EMPTIED})
RECIPIENTS = Cells(
    "notifications_broadcastrecipient",
    "",
    "t.recipient_id, NULL",
    {},
    ("error", "telegram_error"),
)
