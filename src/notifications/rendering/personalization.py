"""Builds what the service gives to every template: the user, and facts about itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.rendering.render import UserFacts, user_context

_UNSAID = {"locale": "en", "timezone": "UTC", "subscription_tier": "free", "role": ""}


def service_context(*, at: datetime, user: tuple[Any, ...] | None = None) -> dict[str, Any]:
    """Returns the variables that every template has: user, current_time, app_name and app_url.

    They replace a caller's own of the same names. Every check of a context and every render use
    this function, so that no door misses a variable that another one has.

    Args:
        at: the `current_time`.
        user: facts in the order of UserFacts; None for an address, and where no person is known.
    """
    known = environment()
    return {
        "user": user_context(user) if user else {},
        "current_time": at,
        "app_name": known.app_name,
        "app_url": known.app_url,
    }


class PersonalizationService:
    """Builds the context that templates are rendered with."""

    def build_user_context(
        self, user: Any, extra_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Returns user, current_time, app_name, app_url and the caller's other variables."""
        facts = UserFacts._make(_fact(user, name) for name in UserFacts._fields)
        return {**(extra_context or {}), **service_context(at=clock.now(), user=facts)}


def _fact(user: Any, name: str) -> Any:
    default = None if name in ("date_joined", "last_login") else _UNSAID.get(name, "")
    return getattr(user, name, default)
