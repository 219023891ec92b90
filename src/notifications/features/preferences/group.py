"""Reads the preferences of many requests at once: the statements of one request serve them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from directory.models import User
from directory.references import PersonKey
from notifications.domain.callers import Caller
from notifications.features.preferences.consents import READ
from notifications.features.preferences.schemas import (
    PreferencesResponse,
    category_response,
    global_response,
)
from notifications.models import NotificationCategoryPreference, UserNotificationPreference


def preferences_group(
    requests: Sequence[tuple[Caller, PersonKey | None]],
) -> list[PreferencesResponse | None]:
    """Returns the preferences of each request's user; None where the request has an error.

    A request with an error is served alone by `PreferenceService.get`, which reports it.

    Args:
        requests: callers, each with the user that the request names; None means the caller.
    """
    named = [caller.user_id if key is None else key for caller, key in requests]
    found = User.objects.ids_of(key for key in named if key is not None)
    ids = [
        _allowed(caller, None if key is None else found.get(key))
        for (caller, _), key in zip(requests, named, strict=True)
    ]
    shown = preferences_of_many({user_id for user_id in ids if user_id is not None})
    return [None if user_id is None else shown[user_id] for user_id in ids]


def _allowed(caller: Caller, user_id: int | None) -> int | None:
    """Returns the user if the caller may read their preferences."""
    return user_id if user_id == caller.user_id or caller.may(READ) else None


def preferences_of_many(user_ids: set[int]) -> dict[int, PreferencesResponse]:
    """Returns the preferences of users who exist, in two queries."""
    rows = UserNotificationPreference.objects.filter(user_id__in=user_ids)
    stored = {row.user_id: row for row in rows}
    of_categories = defaultdict(list)
    chosen = NotificationCategoryPreference.objects.filter(user_id__in=user_ids)
    for each in chosen.order_by("category"):
        of_categories[each.user_id].append(each)
    found = {}
    for user_id in user_ids:
        overall = stored.get(user_id) or UserNotificationPreference(user_id=user_id)
        found[user_id] = PreferencesResponse(
            overall=global_response(overall),
            categories={
                each.category: category_response(each, overall) for each in of_categories[user_id]
            },
        )
    return found
