"""The audience of a broadcast: a rule with its values in two columns, or a composition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.casting.fields.audience import NAMED_KINDS
from notifications.models import Broadcast

_COMPOSED = Broadcast.TargetGroup.COMPOSED.value
_NARROWING = ("by_subject", "by_tutor", "by_teacher")


def target_of(audience: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields `target_group` and `target_filter` for an audience."""
    if "rule" in audience:
        values = {key: value for key, value in audience.items() if key != "rule"}
        return {"target_group": audience["rule"], "target_filter": values}
    return {"target_group": _COMPOSED, "target_filter": dict(audience)}


def audience_of(broadcast: Broadcast) -> dict[str, Any]:
    """Returns the audience of a broadcast in the language of audiences."""
    group, values = broadcast.target_group, dict(broadcast.target_filter or {})
    if group == _COMPOSED:
        return values
    narrowing = [kind for kind in _NARROWING if NAMED_KINDS[kind] in values]
    if group.startswith("all") and narrowing:
        parts = [{"rule": kind, NAMED_KINDS[kind]: values[NAMED_KINDS[kind]]} for kind in narrowing]
        return {"all": [{"rule": group}, *parts]}
    return {"rule": group, **values}
