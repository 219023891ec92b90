"""Preferences of people, and how they inherit defaults. Pure.

    service default -> category default -> the person's global choice -> their choice for a category

Only stored choices count. A missing choice inherits the one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from notifications.domain.channels import PERSON_CHANNELS, Channel

SWITCH_DEFAULTS: Mapping[str, bool] = MappingProxyType(
    {channel: channel is not Channel.SMS for channel in PERSON_CHANNELS}
)
"""The service's own defaults: everything but SMS, which is opt-in."""

QUIET_START = time(22, 0)
QUIET_END = time(8, 0)


class DigestFrequency(StrEnum):
    """How often a person wants messages that are not urgent."""

    IMMEDIATE = "immediate"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    NEVER = "never"  # the inbox only


def switch_name(channel: str) -> str:
    """Returns the name of the preference for a channel, e.g. `email_enabled`."""
    return f"{channel}_enabled"


SWITCHES = tuple(switch_name(channel) for channel in PERSON_CHANNELS)


@dataclass(frozen=True, slots=True)
class EffectivePreferences:
    """What one person chose for all categories. switches holds chosen channels only.

    consent: their data may be processed for what rests on consent. digest: a DigestFrequency, or
    empty when nothing was chosen. zone: an IANA name, or empty. tracked: opens and clicks of
    their mails may be tracked.
    """

    consent: bool = False
    notifications_enabled: bool = True
    marketing_enabled: bool = False
    switches: Mapping[str, bool] = field(default_factory=dict)
    quiet: tuple[time, time] | None = None
    dnd_until: datetime | None = None
    digest: str = ""
    zone: str = ""
    tracked: bool = True


@dataclass(frozen=True, slots=True)
class CategoryDefaults:
    """The defaults of a category for people without a choice."""

    switches: Mapping[str, bool] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def of(cls, raw: Any) -> CategoryDefaults:
        """Reads a category's `default_preferences`, e.g. {"sms_enabled": true}.

        Any other value means no defaults.
        """
        if not isinstance(raw, Mapping):
            return NO_DEFAULTS
        switches = {
            str(channel): bool(raw[switch_name(channel)])
            for channel in PERSON_CHANNELS
            if switch_name(channel) in raw
        }
        digest = str(raw.get("digest_frequency", ""))
        return cls(switches, digest if digest in DigestFrequency.__members__.values() else "")


NO_DEFAULTS = CategoryDefaults()


def channel_on(
    channel: str,
    chosen: EffectivePreferences,
    *,
    defaults: CategoryDefaults = NO_DEFAULTS,
    own: Mapping[str, bool] | None = None,
) -> bool:
    """Returns whether a channel is on for a person, before their choice for the category applies.

    own: that choice. The channel is on for a person without a general choice who chose it for this
    category. A general choice overrides it.
    """
    if channel not in SWITCH_DEFAULTS:
        return True
    choice = chosen.switches.get(channel)
    if choice is not None:
        return choice
    if own and own.get(channel):
        return True
    return defaults.switches.get(channel, SWITCH_DEFAULTS[channel])


def digest_of(chosen: EffectivePreferences, defaults: CategoryDefaults = NO_DEFAULTS) -> str:
    """Returns the digest frequency in force."""
    return chosen.digest or defaults.digest or DigestFrequency.IMMEDIATE


# The bits in which a statement writes the preferences of a person as a text of 0 and 1. The
# statement (models/delivery/hot_facts.py) and its reader (policy) both take the order from here.
CATEGORY_BITS: tuple[str, ...] = SWITCHES
"""The columns of a preference for one category."""

GENERAL_BITS: tuple[str, ...] = (
    "data_processing_consent",
    "notifications_enabled",
    "marketing_enabled",
    *SWITCHES,
    "quiet_hours_enabled",
    "tracking_enabled",
)
"""The columns of a person's general preferences."""


def read_bits(text: str, columns: Sequence[str]) -> dict[str, bool]:
    """Returns the value of each column in a text of bits. A bit that is missing is left out."""
    return {column: bit == "1" for column, bit in zip(columns, text, strict=False)}
