"""The time zones of people."""

from __future__ import annotations

from collections.abc import Sequence

from directory.models import User
from notifications.domain.wall_clock import first_zone
from notifications.infra.conf import environment
from notifications.models.people.preference import UserNotificationPreference

_AT_ONCE = 1_000


def zones_of(user_ids: Sequence[int]) -> dict[int, str]:
    """Returns the names of the zones of users, in the given order.

    The zone is that of the preferences, else the user's, else the service's. A name that does not
    exist is skipped.
    """
    found: dict[int, str] = {}
    for start in range(0, len(user_ids), _AT_ONCE):
        some = user_ids[start : start + _AT_ONCE]
        users = dict(User.objects.filter(pk__in=some).values_list("pk", "timezone"))
        rows = UserNotificationPreference.objects.filter(user_id__in=some).exclude(timezone="")
        own = dict(rows.values_list("user_id", "timezone"))
        for person in some:
            names = own.get(person, ""), users.get(person, ""), environment().timezone
            found[person] = str(first_zone(*names)[0])
    return found
