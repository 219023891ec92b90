"""Writes an entry of the audit log for each change of preferences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from notifications.features.inbox.actions import note_preferences
from notifications.features.preferences.group import preferences_of_many
from notifications.infra import clock
from notifications.models.audit.actions import record_change


@contextmanager
def recorded_preferences(user_id: int, action: str, actor: str) -> Iterator[None]:
    """Records what the block changed of a user's preferences, in the caller's transaction.

    The user's open clients hear of it.
    """
    before = _values(user_id)
    yield
    record_change(
        actor=actor,
        action=action,
        target=f"user:{user_id}",
        at=clock.now(),
        subject_id=user_id,
        before=before,
        after=_values(user_id),
    )
    note_preferences(user_id)


def _values(user_id: int) -> dict[str, Any]:
    """Returns the preferences by dotted names, so that an entry has only those that differ."""
    found = msgspec.to_builtins(preferences_of_many({user_id})[user_id])
    return dict(_flat("", found))


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}" if path else str(name), inner)
    else:
        yield path, value
