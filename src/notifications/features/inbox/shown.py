"""Changes in the form in which clients get them, on every transport."""

from __future__ import annotations

from typing import Any

from notifications.features.inbox.reading import ShownChange
from notifications.models import ChangeKind

_OF_KIND = {
    ChangeKind.READ: ("at",),
    ChangeKind.READ_ALL: ("at",),
    ChangeKind.ARCHIVED: ("at",),
    ChangeKind.SNOOZED: ("until",),
}
_TEXTS = ("title", "body", "data")


def shown_change(change: ShownChange) -> dict[str, Any]:
    """Returns a change as clients get it: what of ids, up_to, category and fields applies."""
    terms = change.terms
    shown: dict[str, Any] = {"seq": change.seq, "kind": change.kind}
    shown |= {name: terms[name] for name in ("ids", "up_to", "category") if name in terms}
    fields = {
        name: str(terms[name]).replace("+00:00", "Z")
        for name in _OF_KIND.get(ChangeKind(change.kind), ())
        if name in terms
    }
    if change.kind == ChangeKind.AMENDED:
        fields = {name: change.content[name] for name in _TEXTS if name in change.content}
    return shown | ({"fields": fields} if fields else {})
