"""Records actions of people and services: a row for operators, and an entry of the audit log."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import BinaryField, Model

from notifications.models.audit.entries import NewEntry, write_entry
from notifications.models.operations.operators import OperatorAction

NEVER_SHOWN = frozenset(
    {"password", "key_hash", "previous_hash", "secret", "secrets", "token", "keys", "values"}
)
"""Columns whose values are secrets: an entry says only that they changed."""
Values = Mapping[str, Any] | None
_HIDDEN = "(not shown)"


def record_action(
    *,
    actor: str,
    action: str,
    at: datetime,
    target: str = "",
    reason: str = "",
    subject_id: int | None = None,
    before: Values = None,
    after: Values = None,
) -> None:
    """Records an action in the caller's transaction.

    subject_id: the person whom it concerns. before, after: the changed values, without secrets.
    """
    entry = NewEntry(
        actor=actor,
        action=action,
        target=target,
        subject_id=subject_id,
        reason=reason,
        **changed_values(before, after),
    )
    with transaction.atomic():
        OperatorAction.objects.create(
            actor=actor, action=action, target=target, reason=reason[:200], at=at
        )
        write_entry(entry, at=at)


def record_change(
    *,
    actor: str,
    action: str,
    target: str,
    at: datetime,
    subject_id: int | None = None,
    reason: str = "",
    before: Values = None,
    after: Values = None,
) -> None:
    """Writes an entry of the audit log alone, in the caller's transaction.

    Where there are values before and after, the entry has those that differ. Without a difference
    nothing is written.
    """
    if before is not None and before == after:
        return
    entry = NewEntry(
        actor=actor,
        action=action,
        target=target,
        subject_id=subject_id,
        reason=reason,
        **changed_values(before, after),
    )
    write_entry(entry, at=at)


def values_of(row: Model, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Returns the values of a row by column. Sealed columns are left out, secrets hidden."""
    values: dict[str, Any] = {}
    for column in row._meta.concrete_fields:
        name = column.attname
        if isinstance(column, BinaryField) or name in without:
            continue
        values[name] = _HIDDEN if name in NEVER_SHOWN else getattr(row, name)
    return values


def stored_values(row: Model) -> dict[str, Any] | None:
    """Returns the values of a row as they are in the database now; None for a new row."""
    found = type(row)._base_manager.filter(pk=row.pk).first() if row.pk is not None else None
    return None if found is None else values_of(found)


def changed_values(before: Values, after: Values) -> dict[str, Values]:
    """Returns `before` and `after`, with only the values that differ where there are both."""
    if before is None or after is None:
        return {"before": before, "after": after}
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {
        "before": {name: before.get(name) for name in names},
        "after": {name: after.get(name) for name in names},
    }
