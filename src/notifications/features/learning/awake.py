"""Which of the possible instants are within the quiet hours of people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from notifications.domain.quiet_hours import is_quiet
from notifications.models import UserNotificationPreference


class Awake:
    """Leaves out the instants within the quiet hours of people: the message would wait anyway."""

    def __init__(self, people: Sequence[int]) -> None:
        rows = UserNotificationPreference.objects.filter(
            user_id__in=people, quiet_hours_enabled=True
        )
        names = ("user_id", "quiet_hours_start", "quiet_hours_end")
        self._quiet = {user: (start, end) for user, start, end in rows.values_list(*names)}

    def of(self, person: int, instants: Sequence[datetime], zone: tzinfo) -> Sequence[datetime]:
        """Returns the instants outside of quiet hours; the first one if there is none."""
        if person not in self._quiet:
            return instants
        start, end = self._quiet[person]
        left = [
            at for at in instants if not is_quiet(at.astimezone(zone).time(), start=start, end=end)
        ]
        return left or instants[:1]
