"""Reads the text in which preferences come from the database (models/hot_facts.py).

The text is the key of what is kept: it holds every fact, so that a changed preference is another
text, and nothing ever has to be invalidated, in whichever process it was changed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import UTC, datetime, time
from types import MappingProxyType
from typing import NamedTuple

from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.preferences import (
    SWITCH_DEFAULTS,
    CategoryDefaults,
    DigestFrequency,
    Wishes,
    switch_name,
)
from notifications.policy.stance import Stance, stance_on

_KEPT = 16_384
_FLAGS = 3  # consent, notifications, marketing
_QUIET = _FLAGS + len(PERSON_CHANNELS)


class CategoryTerms(NamedTuple):
    """What a category says to a decision. defaults and caps are JSON texts, as keys of caches."""

    key: str
    consent_needed: bool = False
    marketing: bool = False
    defaults: str = ""
    caps: str = ""


@functools.lru_cache(maxsize=_KEPT)
def wishes_of(text: str) -> Wishes:
    """`bits|chosen|start|end|digest|zone|dnd`, e.g. `1101101110||22:00:00|08:00:00|daily||`."""
    bits, chosen, start, end, digest, zone, dnd = text.split("|")
    told = chosen.split()
    return Wishes(
        consent=bits[0] == "1",
        notifications_enabled=bits[1] == "1",
        marketing_enabled=bits[2] == "1",
        switches=_switches(bits[_FLAGS:_QUIET], told),
        quiet=(time.fromisoformat(start), time.fromisoformat(end)) if bits[_QUIET] == "1" else None,
        dnd_until=_moment(dnd) if dnd else None,
        digest=digest if digest != DigestFrequency.IMMEDIATE or "digest_frequency" in told else "",
        zone=zone,
    )


@functools.lru_cache(maxsize=_KEPT)
def own_of(text: str) -> Mapping[str, bool]:
    """The channels that a person chose for a category: `bits|chosen`, e.g. `110111|sms_enabled`."""
    bits, _, chosen = text.partition("|")
    return _switches(bits, chosen.split())


def _switches(bits: str, told: list[str]) -> Mapping[str, bool]:
    found = {
        str(channel): bit == "1"
        for channel, bit in zip(PERSON_CHANNELS, bits, strict=True)
        if switch_name(channel) in told or (bit == "1") != SWITCH_DEFAULTS[channel]
    }
    return MappingProxyType(found)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@functools.lru_cache(maxsize=_KEPT)
def stance_of(
    wishes: str, own: str, channel: str, terms: CategoryTerms, default_consent: bool
) -> Stance:
    """The stance of a person with these texts; empty ones are those of who said nothing."""
    return stance_on(
        channel,
        wishes_of(wishes) if wishes else Wishes(consent=default_consent),
        own=own_of(own) if own else None,
        defaults=_defaults(terms.defaults),
    )


@functools.lru_cache(maxsize=256)
def _defaults(text: str) -> CategoryDefaults:
    return CategoryDefaults.of(json.loads(text)) if text else CategoryDefaults()
