"""Builds the part of a template's context that describes the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.rendering.render import UserFacts, user_context

_UNSAID = {"locale": "en", "timezone": "UTC", "subscription_tier": "free", "role": ""}


class PersonalizationService:
    """Builds the context that templates are rendered with."""

    def build_user_context(
        self, user: Any, extra_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Returns user, current_time, app_name, app_url and the caller's other variables."""
        facts = (_fact(user, name) for name in UserFacts._fields)
        return {
            **(extra_context or {}),
            "user": user_context(UserFacts._make(facts)),
            "current_time": clock.now(),
            "app_name": environment().app_name,
            "app_url": environment().app_url,
        }


def _fact(user: Any, name: str) -> Any:
    default = None if name in ("date_joined", "last_login") else _UNSAID.get(name, "")
    return getattr(user, name, default)
