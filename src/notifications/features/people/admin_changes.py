"""Records what staff change in Django's admin, with the values before and after."""

from __future__ import annotations

from directory.models import User
from notifications.infra import clock
from notifications.models.audit.actions import Values, record_change, stored_values


def user_values(user: User) -> Values:
    """Returns a user's stored values without secrets; None for a user that is not stored."""
    return stored_values(user)


def record_user_change(
    *, by: int, user_id: int, action: str, before: Values = None, after: Values = None
) -> None:
    """Writes an entry of the audit log. by: the id of the member of staff."""
    record_change(
        actor=f"user:{by}",
        action=action,
        target=f"user:{user_id}",
        at=clock.now(),
        subject_id=user_id,
        before=before,
        after=after,
    )
