"""Reads the text in which preferences come from the database (models/delivery/hot_facts.py).

The text is the key of the cache. It holds every fact, so a changed preference is another text. No
process ever has to invalidate an entry.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import time
from types import MappingProxyType
from typing import NamedTuple

from directory.moments import read_stored
from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.preferences import (
    CATEGORY_BITS,
    GENERAL_BITS,
    QUIET_END,
    QUIET_START,
    SWITCH_DEFAULTS,
    CategoryDefaults,
    DigestFrequency,
    EffectivePreferences,
    read_bits,
    switch_name,
)
from notifications.policy.preference_state import PreferenceState, build_preference_state

_CACHE_SIZE = 16_384


class CategoryTerms(NamedTuple):
    """The terms of a category for decisions. defaults and caps are JSON texts: keys of caches."""

    key: str
    consent_needed: bool = False
    marketing: bool = False
    defaults: str = ""
    caps: str = ""


@functools.lru_cache(maxsize=_CACHE_SIZE)
def parse_preferences(text: str) -> EffectivePreferences:
    """Parses `bits|chosen|start|end|digest|zone|dnd`, e.g. `1101101110||22:00:00|08:00:00|daily||`.

    It never fails, because rows may not have been validated. A part that cannot be read counts as
    not chosen. A zone may contain the separator.
    """
    parts = text.split("|", 5)
    bits, chosen, start, end, digest, rest = (*parts, *[""] * (6 - len(parts)))
    zone, _, dnd = rest.rpartition("|")
    names = chosen.split()
    flags = read_bits(bits, GENERAL_BITS)
    return EffectivePreferences(
        consent=flags.get("data_processing_consent", False),
        notifications_enabled=flags.get("notifications_enabled", False),
        marketing_enabled=flags.get("marketing_enabled", False),
        switches=_switches(flags, names),
        quiet=_quiet(start, end) if flags.get("quiet_hours_enabled", False) else None,
        dnd_until=read_stored(dnd) if dnd else None,
        digest=_digest(digest, names),
        zone=zone,
        tracked=flags.get("tracking_enabled", True),
    )


def _digest(text: str, names: list[str]) -> str:
    if text not in DigestFrequency.__members__.values():
        return ""
    return text if text != DigestFrequency.IMMEDIATE or "digest_frequency" in names else ""


def _quiet(start: str, end: str) -> tuple[time, time]:
    """Returns the quiet hours; the default ones where a time cannot be read."""
    try:
        return _wall_time(start), _wall_time(end)
    except ValueError:
        return QUIET_START, QUIET_END


def _wall_time(text: str) -> time:
    return time() if text.startswith("24:00") else time.fromisoformat(text).replace(tzinfo=None)


@functools.lru_cache(maxsize=_CACHE_SIZE)
def parse_category_choice(text: str) -> Mapping[str, bool]:
    """Parses the channels chosen for a category: `bits|chosen`, e.g. `110111|sms_enabled`."""
    bits, _, chosen = text.partition("|")
    return _switches(read_bits(bits, CATEGORY_BITS), chosen.split())


def _switches(flags: Mapping[str, bool], names: list[str]) -> Mapping[str, bool]:
    named = {channel: switch_name(channel) for channel in PERSON_CHANNELS}
    found = {
        str(channel): flags[name]
        for channel, name in named.items()
        if name in flags and (name in names or flags[name] != SWITCH_DEFAULTS[channel])
    }
    return MappingProxyType(found)


@functools.lru_cache(maxsize=_CACHE_SIZE)
def read_preference_state(
    general: str, own: str, channel: str, terms: CategoryTerms, default_consent: bool
) -> PreferenceState:
    """Returns the preference state for these texts. Empty texts mean that nothing was chosen."""
    return build_preference_state(
        channel,
        parse_preferences(general) if general else EffectivePreferences(consent=default_consent),
        own=parse_category_choice(own) if own else None,
        defaults=_defaults(terms.defaults),
    )


@functools.lru_cache(maxsize=256)
def _defaults(text: str) -> CategoryDefaults:
    return CategoryDefaults.of(json.loads(text)) if text else CategoryDefaults()
