"""Whether a token has ended before its time: its sign-in, the tokens of its person, or all tokens.

Three queries answer it for any number of JWTs. A process asks again each second.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from directory.models import User
from notifications.domain.callers import TokenOrigin
from notifications.features.access.sign_in.sign_ins import live_families
from notifications.models import InstallationState


class Endings:
    """What has ended, of some tokens."""

    def __init__(self, origins: Collection[TokenOrigin], *, now: datetime) -> None:
        families = {each.family for each in origins if each.family is not None}
        self._live = live_families(families, now=now) if families else set()
        people = {each.user_id for each in origins}
        rows = User.objects.filter(pk__in=people, tokens_not_before__isnull=False)
        self._of_people = dict(rows.values_list("pk", "tokens_not_before"))
        states = InstallationState.objects.values_list("tokens_not_before", flat=True)
        self._of_all = states.first() if people else None

    def has_ended(self, origin: TokenOrigin) -> bool:
        """Whether a token is refused, although its time is not over."""
        if origin.family is not None and origin.family not in self._live:
            return True
        limits = (self._of_people.get(origin.user_id), self._of_all)
        return any(is_before(origin.issued, limit) for limit in limits if limit is not None)


def is_before(issued: float | None, limit: datetime) -> bool:
    """Whether a token was issued before all tokens of that time ended. One without a time was."""
    return issued is None or issued < limit.timestamp()
