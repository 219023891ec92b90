"""Writes entries of the consent ledger, each with its entry of the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from notifications.models import ConsentRecord
from notifications.models.audit.entries import NewEntry, write_entries


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
