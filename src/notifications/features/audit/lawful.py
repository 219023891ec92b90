"""Which contents of the tree may be missing: leaves of their own say so.

A leaf of kind `retention` names the leaves below a number, by kind. A leaf of kind `erasure` names
a person. Each covers only leaves before itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from django.db.models import QuerySet

from notifications.domain.audit_leaves import LeafHeader
from notifications.domain.identifiers import parse_key
from notifications.models import LETS_GO, AuditLeaf, LeafKind
from notifications.models.audit.tree import LETTING_GO, NO_SLICE

_PAGE = 1_000
_ENTRIES, _SLICES = "entries", "slices"


@dataclass(slots=True)
class LawfulGaps:
    """What the leaves of `LETS_GO` allow."""

    #: Entries and slices whose number is below these may be empty.
    stops: dict[str, int] = field(default_factory=dict)
    #: Entries about these persons may be empty, below the number of the leaf that says so.
    persons: dict[int, int] = field(default_factory=dict)
    #: The number of the last leaf that was read.
    last: int = -1

    def add(self, number: int, kind: str, target: str) -> None:
        """Adds what one leaf allows."""
        name, _, value = target.partition(":")
        if kind == LeafKind.ERASURE:
            person = parse_key(value)
            if name == "user" and person is not None:
                self.persons[person] = number
            return
        stop = parse_key(value)
        if stop is not None and stop <= number:
            self.stops[name] = max(stop, self.stops.get(name, 0))

    def covers(self, number: int, kind: str, subject_id: int | None) -> bool:
        """Returns whether the content of a leaf may be missing."""
        if kind in LETS_GO:
            return False
        if subject_id is not None and number < self.persons.get(subject_id, 0):
            return True
        return number < self.stops.get(stop_name(kind), 0)


def stop_name(kind: str) -> str:
    """Returns the word by which a leaf of kind `retention` names leaves of a kind."""
    return _SLICES if kind == LeafKind.SLICE else _ENTRIES


def letting_go() -> QuerySet[AuditLeaf]:
    """Returns the leaves of `LETS_GO`, by ascending number."""
    rows = AuditLeaf.objects.filter(NO_SLICE, action__in=LETTING_GO.values(), kind__in=LETS_GO)
    return rows.order_by("number")


def lawful_gaps(is_ours: Callable[[int, bytes, bytes], bool]) -> LawfulGaps:
    """Returns what all leaves of `LETS_GO` allow; changed leaves allow nothing.

    is_ours: returns whether a tag is right for a number and a leaf hash.
    """
    gaps, after = LawfulGaps(), -1
    while rows := list(letting_go().filter(number__gt=after)[:_PAGE]):
        for row in rows:
            header = LeafHeader(
                row.kind, row.at_ms, row.actor, row.action, row.target, row.subject_id
            )
            found = header.leaf_hash(sha256(bytes(row.data or b"")).digest())
            if found == bytes(row.leaf_hash) and is_ours(row.number, found, bytes(row.tag)):
                gaps.add(row.number, row.kind, row.target)
        gaps.last = after = rows[-1].number
    return gaps
