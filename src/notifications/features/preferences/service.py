"""PreferenceService: reads and changes preferences. The next decision uses every change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from django.db import transaction

from notifications.domain.callers import Caller
from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.preferences import switch_name
from notifications.engine.shared_rows import category_by_key, category_keys
from notifications.features.access.persons import person_for
from notifications.features.learning.counting import forget_refusing
from notifications.features.preferences.audited import recorded_preferences
from notifications.features.preferences.changes import Changes, parse_changes
from notifications.features.preferences.consents import (
    READ,
    WRITE,
    apply_consent,
    locked_preferences,
    write_entry,
)
from notifications.features.preferences.group import preferences_of_many
from notifications.features.preferences.schemas import (
    CONSENT,
    PreferencesResponse,
)
from notifications.features.preferences.undo import close_undo
from notifications.infra import clock
from notifications.models import (
    DATA_PROCESSING,
    MARKETING,
    NotificationCategoryPreference,
)

LONGEST_MUTE_H = 24 * 30
_CONSENTS = {CONSENT: DATA_PROCESSING, "marketing_enabled": MARKETING}
_PURPOSES = {**_CONSENTS, "notifications_enabled": "all"}


class PreferenceService:
    """Reads and changes the preferences of one user: the caller, or any user with the scope."""

    def get(self, *, caller: Caller, identifier: object = None) -> PreferencesResponse:
        """Returns a user's preferences, with defaults where nothing was chosen. Writes nothing.

        Raises:
            InvalidRequest, NotFound (unknown_user), Refused (missing_scope).
        """
        return preferences_of(person_for(caller, identifier, scope=READ).pk)

    def update(
        self,
        *,
        changes: Mapping[str, Any],
        caller: Caller,
        identifier: object = None,
        source: str = "api",
        ip: str | None = None,
        wordings: Mapping[str, str] = MappingProxyType({}),
    ) -> PreferencesResponse:
        """Merges {global, categories} into the stored preferences; all of it or nothing.

        Writes a ledger entry for each change of data_processing_consent, marketing_enabled and
        notifications_enabled, and for a category that is switched off on every channel or on again.
        wordings: the texts that the user was shown, by the name of the flag.

        Raises:
            InvalidRequest: with the error of every field.
        """
        user = person_for(caller, identifier, scope=WRITE)
        parsed = parse_changes(changes)
        with (
            transaction.atomic(),
            recorded_preferences(user.pk, "preferences.changed", caller.name),
        ):
            _merge(user.pk, parsed, ConsentEvidence(caller.name, source, ip, wordings))
        return preferences_of(user.pk)

    def unsubscribe(
        self,
        *,
        caller: Caller,
        source: str,
        identifier: object = None,
        category: str | None = None,
        channels: Sequence[str] = PERSON_CHANNELS,
        wording: str = "",
        ip: str | None = None,
    ) -> bool:
        """Switches a category off on these channels; without one, everything but urgent messages.

        Idempotent. Returns whether anything changed; a change is written to the ledger.

        Raises:
            InvalidRequest: unknown_category.
        """
        if category is not None and category_by_key(category) is None:
            known = ", ".join(category_keys())
            raise InvalidRequest([FieldError("category", "unknown_category", f"known: {known}")])
        user = person_for(caller, identifier, scope=WRITE)
        action = "preferences.unsubscribed"
        with transaction.atomic(), recorded_preferences(user.pk, action, caller.name):
            changed = (
                _unsubscribe_from_all(user.pk)
                if category is None
                else _unsubscribe_from(user.pk, category, channels)
            )
            if changed:
                purpose = f"category:{category}" if category else "all"
                evidence = ConsentEvidence(caller.name, source, ip, {purpose: wording})
                evidence.write(user.pk, purpose, False, flag=purpose)
            elif category is None or set(channels) >= set(PERSON_CHANNELS):
                close_undo(user.pk, category or "", wording=wording, actor=caller.name, ip=ip)
        return changed

    def do_not_disturb(
        self, *, hours: float, caller: Caller, identifier: object = None
    ) -> PreferencesResponse:
        """Pauses messages for some hours from now (0 ends it), with the rules of quiet hours.

        Raises:
            InvalidRequest: hours is below 0 or above 30 days.
        """
        if not 0 <= hours <= LONGEST_MUTE_H:
            detail = f"must be from 0 (off) to {LONGEST_MUTE_H}"
            raise InvalidRequest([FieldError("hours", "invalid", detail)])
        user = person_for(caller, identifier, scope=WRITE)
        with transaction.atomic(), recorded_preferences(user.pk, "preferences.muted", caller.name):
            row = locked_preferences(user.pk)
            row.dnd_until = clock.now() + timedelta(hours=hours) if hours else None
            row.save()
        return preferences_of(user.pk)


def preferences_of(user_id: int) -> PreferencesResponse:
    """Returns a user's preferences, in two queries."""
    return preferences_of_many({user_id})[user_id]


@dataclass(frozen=True, slots=True)
class ConsentEvidence:
    """Who decided, where and in which words: what every entry of the ledger needs."""

    actor: str
    source: str
    ip: str | None = None
    #: The texts that the user was shown, by the name of the flag.
    wordings: Mapping[str, str] = field(default_factory=dict)

    def write(self, user_id: int, purpose: str, granted: bool, *, flag: str = "") -> None:
        """Writes an entry of the ledger."""
        write_entry(
            user_id=user_id,
            purpose=purpose,
            granted=granted,
            wording=self.wordings.get(flag, ""),
            source=self.source,
            actor=self.actor,
            ip=self.ip,
            at=clock.now(),
        )


def _merge(user_id: int, changes: Changes, evidence: ConsentEvidence) -> None:
    row = locked_preferences(user_id)
    was_tracked = row.tracking_enabled
    for name, value in changes.overall.items():
        purpose = _PURPOSES.get(name)
        if purpose is not None and getattr(row, name) != value:
            evidence.write(user_id, purpose, value, flag=name)
        if name in _CONSENTS:
            if getattr(row, name) != value:
                apply_consent(row, _CONSENTS[name], value, at=clock.now())
        else:
            setattr(row, name, value)
    row.choose(changes.overall)
    row.save()
    if was_tracked and not row.tracking_enabled:
        forget_refusing(user_id)
    for key, switches in changes.categories.items():
        was_off = _is_off_everywhere(user_id, key)
        _set_switches(user_id, key, switches)
        if _is_off_everywhere(user_id, key) != was_off:
            evidence.write(user_id, f"category:{key}", was_off)


def _is_off_everywhere(user_id: int, category: str) -> bool:
    """Returns whether a user switched a category off on every channel."""
    rows = NotificationCategoryPreference.objects.filter(user_id=user_id, category=category)
    row = rows.first()
    chosen = row.switches() if row else {}
    return len(chosen) == len(PERSON_CHANNELS) and not any(chosen.values())


def _set_switches(user_id: int, category: str, switches: Mapping[str, bool]) -> bool:
    rows = NotificationCategoryPreference.objects
    row, _ = rows.get_or_create(user_id=user_id, category=category)
    before = row.switches()
    for name, value in switches.items():
        setattr(row, name, value)
    row.choose(switches)
    row.save()
    return row.switches() != before


def _unsubscribe_from(user_id: int, category: str, channels: Sequence[str]) -> bool:
    row = locked_preferences(user_id)
    changed = _set_switches(user_id, category, dict.fromkeys(map(switch_name, channels), False))
    facts = category_by_key(category)
    everywhere = set(channels) >= set(PERSON_CHANNELS)
    if facts and facts.terms.marketing and everywhere and row.marketing_enabled:
        row.marketing_enabled, changed = False, True
        row.save()
    return changed


def _unsubscribe_from_all(user_id: int) -> bool:
    row = locked_preferences(user_id)
    changed = row.notifications_enabled or row.marketing_enabled
    row.notifications_enabled = row.marketing_enabled = False
    row.save()
    return changed
