"""Reads entries of the audit log, the newest first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from directory.lookup import find_people
from directory.references import PersonKey
from notifications.features.audit.schemas import AuditEntryResponse
from notifications.infra import clock
from notifications.intake.fields import Fields
from notifications.models import AuditLeaf, LeafKind
from notifications.models.audit.entries import open_entry
from notifications.models.audit.tree import NO_SLICE
from vault.cells import SealBroken

SLICE_ACTION = "slice"
_PAGE = 500
_FOR_RESTORES = frozenset({"keys", "suppressions"})
"""Values of an erasure that only a restore needs. With the pepper, an index proves an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries. Slices are left out unless their action is named."""

    actor: str = ""
    action: str = ""
    target: str = ""
    user_id: int | None = None
    start: datetime | None = None
    end: datetime | None = None

    def rows(self) -> QuerySet[AuditLeaf]:
        """Returns the leaves, the newest first."""
        rows = AuditLeaf.objects.order_by("-number")
        if self.action == SLICE_ACTION:
            rows = rows.filter(first_message__isnull=False)
        else:
            rows = rows.filter(NO_SLICE)
        given = {"actor": self.actor, "action": self.action, "target": self.target}
        rows = rows.filter(**{name: value for name, value in given.items() if value})
        if self.user_id is not None:
            rows = rows.filter(subject_id=self.user_id)
        if self.start is not None:
            rows = rows.filter(at_ms__gte=clock.epoch_ms(self.start))
        if self.end is not None:
            rows = rows.filter(at_ms__lt=clock.epoch_ms(self.end))
        return rows


def audit_filter(
    *, actor: str, action: str, target: str, user: PersonKey | None, start: str, end: str
) -> AuditFilter:
    """Returns a filter; empty texts and None filter nothing.

    user: whom the entries are about; an integer id also names a user who was deleted.
    start, end: RFC 3339.

    Raises:
        InvalidRequest: start or end is not a time.
    """
    fields = Fields({name: text for name, text in (("from", start), ("to", end)) if text})
    times = fields.moment("from"), fields.moment("to")
    fields.raise_errors()
    return AuditFilter(
        actor=actor,
        action=action,
        target=target,
        user_id=_user_id(user),
        start=times[0],
        end=times[1],
    )


def _user_id(user: PersonKey | None) -> int | None:
    if user is None or isinstance(user, int):
        return user
    return find_people([user]).get(user, 0)


def page_of_entries(
    wanted: AuditFilter, *, after: int, limit: int, whole: bool = False
) -> list[AuditEntryResponse]:
    """Returns entries whose number is below `after` - 1; 0 begins with the newest.

    whole: with the ids of keys and the indexes of addresses that were erased.
    """
    rows = wanted.rows()
    if after:
        rows = rows.filter(number__lt=after - 1)
    return [entry_response(leaf, whole=whole) for leaf in rows[:limit]]


def all_entries(wanted: AuditFilter, *, whole: bool = False) -> Iterator[list[AuditEntryResponse]]:
    """Yields all entries, a page at a time, without a transaction from one page to the next."""
    after = 0
    while page := page_of_entries(wanted, after=after, limit=_PAGE, whole=whole):
        yield page
        after = page[-1].id + 1


def entry_response(leaf: AuditLeaf, *, whole: bool = False) -> AuditEntryResponse:
    """Returns an entry with its details, where they are stored. whole: as `page_of_entries`."""
    details = _details(leaf)
    after = details.get("after")
    if leaf.kind == LeafKind.ERASURE and after and not whole:
        after = {name: value for name, value in after.items() if name not in _FOR_RESTORES}
    return AuditEntryResponse(
        id=leaf.number,
        kind=leaf.kind,
        at=clock.from_epoch_ms(leaf.at_ms),
        actor=leaf.actor,
        action=leaf.action,
        target=leaf.target,
        user_id=leaf.subject_id,
        reason=str(details.get("reason") or ""),
        before=details.get("before"),
        after=after,
        ip=details.get("ip"),
        user_agent=details.get("user_agent"),
        is_stored=leaf.data is not None and (bool(details) or leaf.kind == LeafKind.SLICE),
    )


def _details(leaf: AuditLeaf) -> dict[str, Any]:
    """Returns what an entry says; empty when its content was let go, and for slices."""
    if leaf.data is None or leaf.kind == LeafKind.SLICE:
        return {}
    try:
        _, text = open_entry(bytes(leaf.data))
        found: dict[str, Any] = json.loads(text)
    except (SealBroken, ValueError):
        return {}  # its key is gone, or it was changed: `verify` says which
    return found
