"""Writes entries of the audit log, in the caller's transaction, and reads their contents.

A leaf's hash covers its header (kind, time, actor, action, target, person) and the hash of its
content. The content is a commitment in clear and sealed bytes:

- of an entry: the commitment is SHA-256 of a random salt and the details as JSON; salt and details
  are sealed.
- of a slice: one commitment for each message that the slice recorded; the salt and the messages'
  keys are sealed.

A receipt shows the salt and the details of one entry or message. So it can be verified without a
key, and shows nothing of other messages. When the sealed bytes are let go, the commitment reveals
nothing.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from directory.keys import load_keys_of_people
from notifications.domain.audit_leaves import (
    decision_commitment,
    entry_commitment,
    split_entry,
    split_slice,
)
from notifications.infra import clock, crypto
from notifications.infra.http.request_origin import current_origin
from notifications.models.analytics.delta import INSERT_DELTAS
from notifications.models.audit.security import note_security_action
from notifications.models.audit.tree import LETTING_GO, AuditLeaf, AuditQueued, LeafKind
from vault.cells import Key

QUEUE = "notifications_auditqueued"
SALT_BYTES = 16
_INSERT = (
    f"INSERT INTO {QUEUE} (kind, at_ms, actor, action, target, subject_id, first_message,"  # noqa: S608
    " last_message, data) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
"""Plain SQL: it runs with each record, and Django would need longer to compile it."""
_encode = msgspec.json.Encoder(order="deterministic").encode
_LONGEST_AGENT = 300
Values = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """One change to record."""

    actor: str
    action: str
    target: str = ""
    #: The person whom it is about. Their erasure lets the content go.
    subject_id: int | None = None
    reason: str = ""
    #: What was changed, before and after; None where there was or is nothing. No secrets.
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class OpenedSlice:
    """The messages of a slice, and how to prove each."""

    salt: bytes
    messages: tuple[int, ...]


def write_entry(entry: NewEntry, *, at: datetime) -> None:
    """Writes one entry to the queue, with the address and user agent of the current request."""
    write_entries([entry], at=at)


def write_entries(entries: Iterable[NewEntry], *, at: datetime) -> None:
    """Writes entries to the queue, in one statement for some hundreds."""
    at_ms, made = clock.epoch_ms(at), list(entries)
    people = {entry.subject_id for entry in made if entry.subject_id is not None}
    keys = load_keys_of_people(people) if people else {}
    AuditQueued.objects.bulk_create(
        [_queued(entry, at_ms, keys.get(entry.subject_id or 0)) for entry in made],
        batch_size=500,
    )
    for entry in made:
        note_security_action(actor=entry.actor, action=entry.action, target=entry.target)


def _queued(entry: NewEntry, at_ms: int, key: Key | None) -> AuditQueued:
    origin = current_origin()
    details = {
        "reason": entry.reason,
        "before": entry.before,
        "after": entry.after,
        "ip": origin.ip or None,
        "user_agent": origin.user_agent[:_LONGEST_AGENT] or None,
    }
    return AuditQueued(
        kind=LeafKind.ENTRY,
        at_ms=at_ms,
        actor=entry.actor[:60],
        action=entry.action[:40],
        target=entry.target[:260],
        subject_id=entry.subject_id,
        data=entry_data(details, key),
    )


def entry_data(details: Mapping[str, Any], key: Key | None = None) -> bytes:
    """Returns the content of an entry: its commitment, then the sealed salt and details.

    key: the data key of the person whom the entry is about; None for no person.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    text = _encode(details)
    return entry_commitment(salt, text) + crypto.seal(salt + text, key)


def open_entry(data: bytes) -> tuple[bytes, bytes]:
    """Returns the salt and the details (JSON) of an entry's content.

    Raises:
        SealBroken: they cannot be opened.
    """
    payload = crypto.unseal(split_entry(data)[1])
    return payload[:SALT_BYTES], payload[SALT_BYTES:]


def write_slice(
    decisions: Sequence[tuple[int, str]], *, at: datetime, deltas: Sequence[tuple[Any, str]] = ()
) -> None:
    """Writes one row for a recorded slice: what its pass appended to each message's trail.

    decisions: the key of each message, and the appended text.
    deltas: rows of MetricDelta, as `delta_rows` returns them. They share the statement, because
    a way to the database costs more than a row.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    keys = [key for key, _ in decisions]
    commitments = b"".join([decision_commitment(salt, key, text) for key, text in decisions])
    payload = salt + struct.pack(f">{len(keys)}q", *keys)
    data = struct.pack(">H", len(keys)) + commitments + crypto.seal(payload)
    first, last = min(keys), max(keys)
    target = f"messages:{first}-{last}"
    at_ms = clock.epoch_ms(at)
    values = (LeafKind.SLICE.value, at_ms, "worker", "slice", target, None, first, last, data)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql" and deltas:
            marks = ", ".join(["(%s, %s)"] * len(deltas))
            both = f"WITH counted AS ({INSERT_DELTAS} {marks}) {_INSERT}"
            cursor.execute(both, [*(value for row in deltas for value in row), *values])
            return
        cursor.execute(_INSERT, values)
        for row in deltas:
            cursor.execute(f"{INSERT_DELTAS} (%s, %s)", row)


def open_slice(data: bytes) -> OpenedSlice:
    """Returns the salt and the message keys of a slice's content.

    Raises:
        SealBroken: they cannot be opened.
    """
    payload = crypto.unseal(split_slice(data)[1])
    count = (len(payload) - SALT_BYTES) // 8
    return OpenedSlice(payload[:SALT_BYTES], struct.unpack(f">{count}q", payload[SALT_BYTES:]))


def write_letting_go(
    kind: LeafKind,
    *,
    target: str,
    reason: str,
    actor: str,
    at: datetime,
    after: Values = None,
) -> None:
    """Writes an entry that allows contents of earlier leaves to be let go.

    target: `leaves:<first>-<last>` for a range by age, `user:<id>` for a person.
    """
    details = {"reason": reason, "before": None, "after": after, "ip": None, "user_agent": None}
    AuditQueued.objects.create(
        kind=kind,
        at_ms=clock.epoch_ms(at),
        actor=actor,
        action=LETTING_GO[kind],
        target=target,
        data=entry_data(details),
    )
    note_security_action(actor=actor, action=LETTING_GO[kind], target=target)


def record_erasure(
    user_id: int, *, reason: str, actor: str, at: datetime, after: Values = None
) -> None:
    """Records that a person is erased. Once it is sealed, the contents about them are emptied.

    after: what is needed to erase again in a restored backup: keys, indexes and the certificate.
    """
    write_letting_go(
        LeafKind.ERASURE,
        target=f"user:{user_id}",
        reason=reason,
        actor=actor,
        at=at,
        after=after,
    )


def contents_of(leaf: AuditLeaf) -> bytes | None:
    """Returns a leaf's content; None when it was let go."""
    return None if leaf.data is None else bytes(leaf.data)


def queue_length(most: int) -> int:
    """Counts the queued rows, up to `most`."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM (SELECT 1 FROM {QUEUE} LIMIT %s) q", [most])  # noqa: S608
        return int(cursor.fetchone()[0])
