"""Legal holds: while one is in force, nothing of the person is deleted."""

from __future__ import annotations

from notifications.models import LegalHold


def is_held(user_id: int) -> bool:
    """Whether a legal hold on the person is in force."""
    return LegalHold.objects.filter(user_id=user_id).exists()


def held_user_ids() -> list[int]:
    """Returns the ids of all users under a hold."""
    return list(LegalHold.objects.values_list("user_id", flat=True).distinct())
