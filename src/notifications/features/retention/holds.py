"""Legal holds: the users whose rows must stay, whatever their age.

The upkeep reads them in the transaction of each step, so that a hold applies from the next step on.
"""

from __future__ import annotations

from notifications.models import LegalHold


def held_users() -> frozenset[int]:
    """Returns the ids of all users under a hold."""
    return frozenset(LegalHold.objects.values_list("user_id", flat=True))
