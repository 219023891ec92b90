"""The child process of `bench policy`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from directory.models import User
from notifications.engine.prepare import facts_of, terms_of
from notifications.infra import clock
from notifications.models import (
    NotificationCategoryPreference,
    NotificationMessage,
    UserNotificationPreference,
)
from notifications.models.delivery.hot import hot
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy import preference_text
from notifications.policy.decide import decide
from notifications.policy.facts import load_facts
from notifications.rendering.versions import versions_of

_SLICE = 100
_BASELINE = 500


def policy(count: str) -> dict[str, Any]:
    """Decides on queued messages repeatedly; writes nothing."""
    keys = list(NotificationMessage.objects.order_by("pk").values_list("pk", flat=True))
    slices = [
        hot().load_pending(keys[start : start + _SLICE])
        for start in range(0, min(int(count), len(keys)), _SLICE)
    ]
    versions_of({m.template_version_id for m in slices[0] if m.template_version_id})
    _decide(slices[0])
    figures = _figures("empty", slices, lambda: None)
    _give_preferences()
    for part in slices:
        _decide(part)
    figures |= _figures("warm", slices, lambda: None)
    figures |= _figures("cold", slices, _forget)
    began = time.perf_counter()
    for message in [m for part in slices for m in part][:_BASELINE]:
        _baseline(message)
    per_s = _BASELINE / (time.perf_counter() - began)
    figures["baseline_per_s"] = round(per_s)
    figures["ratio"] = round(figures["warm_per_s"] / per_s, 1)
    return figures


def _decide(part: Sequence[PendingMessage]) -> None:
    facts = load_facts(part, "email", terms_of)
    versions = versions_of({m.template_version_id for m in part if m.template_version_id})
    at = clock.now()
    for message in part:
        decide(facts_of(message, facts, versions.get(message.template_version_id or 0), at=at))


def _figures(
    name: str, slices: Sequence[Sequence[PendingMessage]], before: Callable[[], None]
) -> dict[str, Any]:
    spent, decided = [], 0
    for part in slices:
        before()
        began = time.perf_counter()
        _decide(part)
        spent.append(time.perf_counter() - began)
        decided += len(part)
    return {
        f"{name}_per_s": round(decided / sum(spent)),
        f"{name}_slice_p50_ms": round(statistics.median(spent) * 1000, 3),
    }


def _give_preferences() -> None:
    """Stores preferences for half of the users, and category preferences for an eighth."""
    people = list(User.objects.order_by("pk").values_list("pk", flat=True))[::2]
    zones = ("", "Europe/Paris", "Asia/Tokyo", "America/New_York")
    UserNotificationPreference.objects.bulk_create(
        [
            UserNotificationPreference(
                user_id=key,
                sms_enabled=bool(place % 3),
                push_enabled=bool(place % 2),
                quiet_hours_enabled=place % 5 == 0,
                timezone=zones[place % 4],
                digest_frequency=("immediate", "daily")[place % 7 == 0],
            )
            for place, key in enumerate(people)
        ],
        batch_size=1000,
    )
    NotificationCategoryPreference.objects.bulk_create(
        [
            NotificationCategoryPreference(user_id=key, category="course", push_enabled=False)
            for key in people[::4]
        ],
        batch_size=1000,
    )


def _forget() -> None:
    preference_text.parse_preferences.cache_clear()
    preference_text.parse_category_choice.cache_clear()
    preference_text.read_preference_state.cache_clear()


def _baseline(message: PendingMessage) -> bool:
    """Decides on one message with two queries: its user's preferences and category preferences."""
    assert message.user_id is not None
    row = UserNotificationPreference.objects.filter(user_id=message.user_id).first()
    rows = NotificationCategoryPreference.objects.filter(user_id=message.user_id)
    own = {each.category: each.email_enabled for each in rows}
    return bool((row is None or row.email_enabled) and own.get("payment", True))
