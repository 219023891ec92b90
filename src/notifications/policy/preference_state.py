"""The preferences of a person for one category and channel, with inherited defaults."""

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
    """What a person chose for one category on one channel."""

    consent: bool = False
    notifications_enabled: bool = True
    marketing_enabled: bool = False
    channel_on: bool = True
    category_on: bool = True
    digest: str = DigestFrequency.IMMEDIATE
    quiet: tuple[time, time] | None = None
    dnd_until: datetime | None = None
    #: The time zone that they chose; empty without a choice.
    zone: str = ""
    #: Opens and clicks of their mails may be tracked.
    tracked: bool = True
    #: Only consent and marketing remain to be checked.
    allows_all: bool = field(init=False)

    def __post_init__(self) -> None:
        on = self.notifications_enabled and self.channel_on and self.category_on
        at_once = self.digest == DigestFrequency.IMMEDIATE
        any_time = self.quiet is None and self.dnd_until is None
        object.__setattr__(self, "allows_all", on and at_once and any_time)


def build_preference_state(
    channel: str,
    chosen: EffectivePreferences,
    *,
    own: Mapping[str, bool] | None = None,
    defaults: CategoryDefaults = NO_DEFAULTS,
) -> PreferenceState:
    """Applies inheritance. own: the channels chosen for the category."""
    return PreferenceState(
        consent=chosen.consent,
        notifications_enabled=chosen.notifications_enabled,
        marketing_enabled=chosen.marketing_enabled,
        channel_on=channel_on(channel, chosen, defaults=defaults, own=own),
        category_on=own.get(channel, True) if own else True,
        digest=digest_of(chosen, defaults),
        quiet=chosen.quiet,
        dnd_until=chosen.dnd_until,
        zone=chosen.zone,
        tracked=chosen.tracked,
    )
