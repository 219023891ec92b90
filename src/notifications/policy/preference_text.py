"""Reads the text in which preferences come from the database (models/delivery/hot_facts.py).

The text is the key of what is kept: it holds every fact, so that a changed preference is another
text, and nothing ever has to be invalidated, in whichever process it was changed.
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
from notifications.domain.preference_bits import CATEGORY_BITS, GENERAL_BITS, read_bits
from notifications.domain.preferences import (
    QUIET_END,
    QUIET_START,
    SWITCH_DEFAULTS,
    CategoryDefaults,
    DigestFrequency,
    EffectivePreferences,
    switch_name,
)
from notifications.policy.preference_state import PreferenceState, build_preference_state

_KEPT = 16_384


class CategoryTerms(NamedTuple):
    """What a category says to a decision. defaults and caps are JSON texts, as keys of caches."""

    key: str
    consent_needed: bool = False
    marketing: bool = False
    defaults: str = ""
    caps: str = ""


@functools.lru_cache(maxsize=_KEPT)
def parse_preferences(text: str) -> EffectivePreferences:
    """`bits|chosen|start|end|digest|zone|dnd`, e.g. `1101101110||22:00:00|08:00:00|daily||`.

    Never fails: rows are read that no door has checked, and a part that says nothing counts as not
    chosen. A zone may hold the sign between the parts.
    """
    parts = text.split("|", 5)
    bits, chosen, start, end, digest, rest = (*parts, *[""] * (6 - len(parts)))
    zone, _, dnd = rest.rpartition("|")
    told = chosen.split()
    flags = read_bits(bits, GENERAL_BITS)
    return EffectivePreferences(
        consent=flags.get("data_processing_consent", False),
        notifications_enabled=flags.get("notifications_enabled", False),
        marketing_enabled=flags.get("marketing_enabled", False),
        switches=_switches(flags, told),
        quiet=_quiet(start, end) if flags.get("quiet_hours_enabled", False) else None,
        dnd_until=read_stored(dnd) if dnd else None,
        digest=_digest(digest, told),
        zone=zone,
    )


def _digest(text: str, told: list[str]) -> str:
    if text not in DigestFrequency.__members__.values():
        return ""
    return text if text != DigestFrequency.IMMEDIATE or "digest_frequency" in told else ""


def _quiet(start: str, end: str) -> tuple[time, time]:
    """The window; the usual one where a time cannot be read: who asked for quiet gets it."""
    try:
        return _wall_time(start), _wall_time(end)
    except ValueError:
        return QUIET_START, QUIET_END


def _wall_time(text: str) -> time:
    return time() if text.startswith("24:00") else time.fromisoformat(text).replace(tzinfo=None)


@functools.lru_cache(maxsize=_KEPT)
def parse_category_choice(text: str) -> Mapping[str, bool]:
    """The channels that a person chose for a category: `bits|chosen`, e.g. `110111|sms_enabled`."""
    bits, _, chosen = text.partition("|")
    return _switches(read_bits(bits, CATEGORY_BITS), chosen.split())


def _switches(flags: Mapping[str, bool], told: list[str]) -> Mapping[str, bool]:
    named = {channel: switch_name(channel) for channel in PERSON_CHANNELS}
    found = {
        str(channel): flags[name]
        for channel, name in named.items()
        if name in flags and (name in told or flags[name] != SWITCH_DEFAULTS[channel])
    }
    return MappingProxyType(found)


@functools.lru_cache(maxsize=_KEPT)
def read_preference_state(
    wishes: str, own: str, channel: str, terms: CategoryTerms, default_consent: bool
) -> PreferenceState:
    """The stance of a person with these texts; empty ones are those of who said nothing."""
    return build_preference_state(
        channel,
        parse_preferences(wishes) if wishes else EffectivePreferences(consent=default_consent),
        own=parse_category_choice(own) if own else None,
        defaults=_defaults(terms.defaults),
    )


@functools.lru_cache(maxsize=256)
def _defaults(text: str) -> CategoryDefaults:
    return CategoryDefaults.of(json.loads(text)) if text else CategoryDefaults()
