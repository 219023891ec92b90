"""ConsentService: the ledger of consents, and the flags that decisions read.

An entry and its flag change in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_key
from notifications.features.access.persons import person_for
from notifications.features.audit.receipts import entry_receipt
from notifications.features.audit.schemas import ReceiptResponse
from notifications.features.preferences.schemas import ConsentResponse, consent_response
from notifications.infra import clock
from notifications.models import (
    DATA_PROCESSING,
    MARKETING,
    ConsentRecord,
    UserNotificationPreference,
    default_consent,
)
from notifications.models.audit.entries import NewEntry, write_entries

READ, WRITE = "preferences:read", "preferences:write"
_PER_TRANSACTION = 500
_LONGEST_WORDING = 10_000


class ConsentService:
    """Records and lists what a user agrees to and withdraws."""

    def list(
        self, *, identifier: object = None, caller: Caller, after: int = 0, limit: int = 50
    ) -> list[ConsentResponse]:
        """Returns a user's entries by ascending id."""
        user = person_for(caller, identifier, scope=READ)
        rows = ConsentRecord.objects.filter(user_id=user.pk, pk__gt=after).order_by("pk")
        return [consent_response(row) for row in rows[:limit]]

    def receipt(self, *, identifier: str, caller: Caller) -> ReceiptResponse:
        """Returns the proof of one entry: the user's own, or any with the scope.

        Raises:
            NotFound: unknown_consent, no_receipt. Conflict: not_sealed_yet, audit_damaged.
        """
        key = parse_key(identifier)
        entry = ConsentRecord.objects.filter(pk=key).first() if key else None
        mine = entry is not None and entry.user_id == caller.user_id
        if entry is None or not (mine or caller.may(READ)):
            raise NotFound(f"there is no consent {identifier}", code="unknown_consent")
        return entry_receipt(consent_target(entry), about=consent_target(entry).replace(":", " "))

    def give(
        self,
        *,
        purpose: str,
        wording: str,
        source: str,
        caller: Caller,
        identifier: object = None,
        ip: str | None = None,
    ) -> ConsentResponse:
        """Records that a user agrees to a purpose, and sets its flag."""
        return self._set(True, purpose, wording, source, caller, identifier, ip)

    def withdraw(
        self,
        *,
        purpose: str,
        source: str,
        caller: Caller,
        identifier: object = None,
        wording: str = "",
        ip: str | None = None,
    ) -> ConsentResponse:
        """Records that a user withdraws a consent, and clears its flag."""
        return self._set(False, purpose, wording, source, caller, identifier, ip)

    def _set(
        self,
        granted: bool,
        purpose: str,
        wording: str,
        source: str,
        caller: Caller,
        identifier: object,
        ip: str | None,
    ) -> ConsentResponse:
        _check(purpose=purpose, wording=wording, source=source)
        user = person_for(caller, identifier, scope=WRITE)
        now = clock.now()
        with transaction.atomic():
            if purpose in (DATA_PROCESSING, MARKETING):
                row = locked_preferences(user.pk)
                apply_consent(row, purpose, granted, at=now)
                row.save()
            entry = write_entry(
                user_id=user.pk,
                purpose=purpose,
                granted=granted,
                wording=wording,
                source=source,
                actor=caller.name,
                ip=ip,
                at=now,
            )
        return consent_response(entry)


def locked_preferences(user_id: int) -> UserNotificationPreference:
    """Returns the user's row, created if missing, locked until the transaction ends."""
    UserNotificationPreference.objects.get_or_create(user_id=user_id)
    return UserNotificationPreference.objects.select_for_update().get(user_id=user_id)


def apply_consent(
    row: UserNotificationPreference, purpose: str, granted: bool, *, at: datetime
) -> None:
    """Sets the flag of a purpose and its time on the row. Does not save the row."""
    if purpose == MARKETING:
        row.marketing_enabled = granted
        return
    changed = row.data_processing_consent != granted
    row.data_processing_consent = granted
    stamp = "consent_given_at" if granted else "consent_withdrawn_at"
    if changed or getattr(row, stamp) is None:
        setattr(row, stamp, at)


def write_entry(
    *,
    user_id: int,
    purpose: str,
    granted: bool,
    source: str,
    actor: str,
    at: datetime,
    wording: str = "",
    ip: str | None = None,
) -> ConsentRecord:
    """Writes a new entry of the ledger and returns it."""
    (entry,) = write_consents(
        [
            ConsentRecord(
                user_id=user_id,
                purpose=purpose,
                granted=granted,
                wording=wording,
                source=source,
                actor=actor,
                ip=ip,
                at=at,
            )
        ]
    )
    return entry


def write_consents(entries: Sequence[ConsentRecord]) -> list[ConsentRecord]:
    """Inserts new entries of one time, in the caller's transaction; returns them with their ids."""
    made = ConsentRecord.objects.bulk_create(entries)
    if made:
        write_entries([_audit_entry(entry) for entry in made], at=made[0].at)
    return made


def consent_target(entry: ConsentRecord) -> str:
    """Returns the target of the audit entry that belongs to an entry of the ledger."""
    return f"consent:{entry.pk}"


def _audit_entry(entry: ConsentRecord) -> NewEntry:
    after = {
        "user_id": entry.user_id,
        "purpose": entry.purpose,
        "granted": entry.granted,
        "wording": entry.wording,
        "source": entry.source,
        "ip": entry.ip,
    }
    return NewEntry(
        actor=entry.actor,
        action="consent.given" if entry.granted else "consent.withdrawn",
        target=consent_target(entry),
        subject_id=entry.user_id,
        after=after,
    )


def set_consent_of(
    user_ids: Iterable[int],
    *,
    granted: bool,
    source: str,
    wording: str = "",
    caller: Caller = SYSTEM,
    at: datetime | None = None,
    purpose: str = DATA_PROCESSING,
) -> int:
    """Sets the consent of many users to data processing or marketing (imports, sync, demo data).

    Skips users whose consent is already so. Writes a ledger entry for each user that changed and
    returns their number. It makes a few statements for every 500 users, in the caller's transaction
    or its own.
    """
    wanted, at, changed = sorted(set(user_ids)), at or clock.now(), 0
    for start in range(0, len(wanted), _PER_TRANSACTION):
        with transaction.atomic():
            entry = ConsentRecord(
                purpose=purpose,
                granted=granted,
                wording=wording,
                source=source,
                actor=caller.name,
                at=at,
            )
            changed += _set_many(wanted[start : start + _PER_TRANSACTION], entry)
    return changed


def _set_many(user_ids: list[int], entry: ConsentRecord) -> int:
    """Sets the flag of users for whom it differs. entry: what is recorded of each of them."""
    is_general = entry.purpose == DATA_PROCESSING
    flag = "data_processing_consent" if is_general else "marketing_enabled"
    stamp = "consent_given_at" if entry.granted else "consent_withdrawn_at"
    values: dict[str, Any] = {flag: entry.granted, **({stamp: entry.at} if is_general else {})}
    default = default_consent() if is_general else False
    rows = UserNotificationPreference.objects.select_for_update().filter(user_id__in=user_ids)
    known = dict(rows.order_by("user_id").values_list("user_id", flag))
    fresh = [
        UserNotificationPreference(user_id=user_id, **values)
        for user_id in user_ids
        if user_id not in known and default != entry.granted
    ]
    UserNotificationPreference.objects.bulk_create(fresh)
    stale = [user_id for user_id, consent in known.items() if consent != entry.granted]
    rows.filter(user_id__in=stale).update(updated_at=entry.at, **values)
    changed = sorted([*stale, *(row.user_id for row in fresh)])
    write_consents(entries_for(changed, entry))
    return len(changed)


def entries_for(user_ids: Iterable[int], entry: ConsentRecord) -> list[ConsentRecord]:
    """Returns an entry like this one for each user; nothing is stored."""
    return [
        ConsentRecord(
            user_id=user_id,
            purpose=entry.purpose,
            granted=entry.granted,
            wording=entry.wording,
            source=entry.source,
            actor=entry.actor,
            ip=entry.ip,
            at=entry.at,
        )
        for user_id in user_ids
    ]


def _check(*, purpose: str, wording: str, source: str) -> None:
    errors = []
    if not purpose.strip() or len(purpose) > 80 or "\x00" in purpose:
        errors.append(FieldError("purpose", "invalid", "must be 1 to 80 characters"))
    elif purpose not in (DATA_PROCESSING, MARKETING) and not purpose.startswith(
        ("list:", "category:")
    ):
        detail = f"must be {DATA_PROCESSING}, {MARKETING}, list:<name> or category:<key>"
        errors.append(FieldError("purpose", "invalid_choice", detail))
    if len(wording) > _LONGEST_WORDING or "\x00" in wording:
        detail = f"must be at most {_LONGEST_WORDING:,} characters without NUL"
        errors.append(FieldError("wording", "invalid", detail))
    if not source.strip() or len(source) > 60 or "\x00" in source:
        errors.append(FieldError("source", "invalid", "must be 1 to 60 characters"))
    if errors:
        raise InvalidRequest(errors)
