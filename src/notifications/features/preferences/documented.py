"""UserPreferenceService: the documented asynchronous interface to preferences."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.utils import timezone

from directory.models import User
from notifications.domain.channels import PERSON_CHANNELS, Channel
from notifications.engine.shared_rows import category_by_key
from notifications.features.preferences.service import preferences_of
from notifications.infra import clock
from notifications.models import default_consent
from notifications.models.delivery.hot_facts import load_circumstances
from notifications.policy.decide import MessageFacts, Send, decide
from notifications.policy.facts import SliceFacts

_CACHE_SIZE = 4_096
_STAMPS = ("consent_given_at", "consent_withdrawn_at")
_cache: OrderedDict[int, tuple[object, dict[str, Any]]] = OrderedDict()
_lock = threading.Lock()


class UserPreferenceService:
    """Returns a user's preferences, and whether a notification would be sent to them now.

    Every call compares the cached preferences with the database. A change therefore applies at
    once, whichever process made it.
    """

    async def get_user_preferences(self, user: User) -> dict[str, Any]:
        """Returns {"global": {...}, "categories": {name: {...}}}; times are ISO texts."""
        return await sync_to_async(_preferences)(user.pk)

    async def should_send_notification(
        self, user: User, channel: str, category: str | None = None, priority: int = 3
    ) -> bool:
        """Returns whether a notification would be sent now, neither suppressed nor deferred.

        False for a channel that does not exist.
        """
        return await sync_to_async(_should_send)(user, channel, category, priority)

    async def invalidate_user_preferences(self, user: User) -> None:
        """Removes a user from the cache of this process."""
        with _lock:
            _cache.pop(user.pk, None)


def _preferences(user_id: int) -> dict[str, Any]:
    here = load_circumstances([user_id])
    state = (here.preferences, here.category_preferences, default_consent())
    with _lock:
        found = _cache.get(user_id)
    if found is None or found[0] != state:
        shown: dict[str, Any] = msgspec.to_builtins(preferences_of(user_id))
        for name in _STAMPS:
            del shown["global"][name]
        found = (state, shown)
        with _lock:
            _cache[user_id] = found
            while len(_cache) > _CACHE_SIZE:
                _cache.popitem(last=False)
    preferences = found[1]
    return {**preferences, "global": dict(preferences["global"])}


def _should_send(user: User, channel: str, category: str | None, priority: int) -> bool:
    if channel not in set(Channel):
        return False
    known = category_by_key(category or "system") or category_by_key("system")
    assert known is not None, "the category system is seeded"
    facts = SliceFacts(here=load_circumstances([user.pk]))
    decision = decide(
        MessageFacts(
            now=clock.frozen() or timezone.now(),
            needs_contact=False,
            contact=None,
            user_id=user.pk,
            user_active=user.is_active,
            channel=channel,
            priority=priority,
            preferences=facts.preferences_for(user.pk, channel, known.terms),
            consent_needed=known.terms.consent_needed,
            marketing=known.terms.marketing,
            personal=channel in PERSON_CHANNELS,
            zones=(user.timezone, *facts.zones(None)),
        )
    )
    return isinstance(decision, Send)
