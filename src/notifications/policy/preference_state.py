"""A person's stance on one category and channel: wishes and defaults with inheritance applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time

from notifications.domain.preferences import (
    NO_DEFAULTS,
    CategoryDefaults,
    DigestFrequency,
    EffectivePreferences,
    channel_on,
    digest_of,
)


@dataclass(frozen=True, slots=True)
class PreferenceState:
    """What a person wishes for one category on one channel. zone: the one they chose, or empty."""

    consent: bool = False
    notifications_enabled: bool = True
    marketing_enabled: bool = False
    channel_on: bool = True
    category_on: bool = True
    digest: str = DigestFrequency.IMMEDIATE
    quiet: tuple[time, time] | None = None
    dnd_until: datetime | None = None
    zone: str = ""
    allows_all: bool = field(init=False)  # nothing but consent and marketing is left to ask

    def __post_init__(self) -> None:
        on = self.notifications_enabled and self.channel_on and self.category_on
        at_once = self.digest == DigestFrequency.IMMEDIATE
        any_time = self.quiet is None and self.dnd_until is None
        object.__setattr__(self, "allows_all", on and at_once and any_time)


def build_preference_state(
    channel: str,
    wishes: EffectivePreferences,
    *,
    own: Mapping[str, bool] | None = None,
    defaults: CategoryDefaults = NO_DEFAULTS,
) -> PreferenceState:
    """The stance that follows. own: the channels chosen for the category."""
    return PreferenceState(
        consent=wishes.consent,
        notifications_enabled=wishes.notifications_enabled,
        marketing_enabled=wishes.marketing_enabled,
        channel_on=channel_on(channel, wishes, defaults=defaults, own=own),
        category_on=own.get(channel, True) if own else True,
        digest=digest_of(wishes, defaults),
        quiet=wishes.quiet,
        dnd_until=wishes.dnd_until,
        zone=wishes.zone,
    )
