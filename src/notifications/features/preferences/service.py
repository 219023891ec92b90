"""PreferenceService: what people wish to hear. Every change is honoured by the next decision."""

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
from notifications.features.preferences.changes import Changes, parse_changes
from notifications.features.preferences.consents import (
    READ,
    WRITE,
    apply_consent,
    locked_preferences,
    write_entry,
)
from notifications.features.preferences.schemas import (
    CONSENT,
    PreferencesResponse,
    category_answer,
    global_answer,
)
from notifications.features.preferences.undo import close_undo
from notifications.infra import clock
from notifications.models import (
    DATA_PROCESSING,
    MARKETING,
    NotificationCategoryPreference,
    UserNotificationPreference,
)

MUTED_AT_MOST_H = 24 * 30
_CONSENTS = {CONSENT: DATA_PROCESSING, "marketing_enabled": MARKETING}
_PURPOSES = {**_CONSENTS, "notifications_enabled": "all"}


class PreferenceService:
    """Reads and changes what one person wishes: their own, or somebody's with the scope."""

    def get(self, *, caller: Caller, identifier: object = None) -> PreferencesResponse:
        """What a person wishes; the defaults where nothing was said. Writes nothing.

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
        """Merges {global, categories} into what is there; all of it or nothing.

        What is agreed to or taken back goes into the ledger: data_processing_consent,
        marketing_enabled, notifications_enabled, and a category that is ended on every channel or
        begun again. wordings: what the person was shown, by the name of the flag.

        Raises:
            InvalidRequest: with every field's error.
        """
        user = person_for(caller, identifier, scope=WRITE)
        parsed = parse_changes(changes)
        with transaction.atomic():
            _merge(user.pk, parsed, Evidence(caller.name, source, ip, wordings))
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
        """Ends a category on these channels; without a category, all but what is urgent.

        Idempotent; answers whether anything changed. What changed goes into the ledger.

        Raises:
            InvalidRequest: unknown_category.
        """
        if category is not None and category_by_key(category) is None:
            known = ", ".join(category_keys())
            raise InvalidRequest([FieldError("category", "unknown_category", f"known: {known}")])
        user = person_for(caller, identifier, scope=WRITE)
        with transaction.atomic():
            changed = _end_all(user.pk) if category is None else _end(user.pk, category, channels)
            if changed:
                purpose = f"category:{category}" if category else "all"
                said = Evidence(caller.name, source, ip, {purpose: wording})
                said.write(user.pk, purpose, False, flag=purpose)
            elif category is None or set(channels) >= set(PERSON_CHANNELS):
                close_undo(user.pk, category or "", wording=wording, actor=caller.name, ip=ip)
        return changed

    def do_not_disturb(
        self, *, hours: float, caller: Caller, identifier: object = None
    ) -> PreferencesResponse:
        """Mutes for some hours from now (0 ends it), with the rules of quiet hours.

        Raises:
            InvalidRequest: hours is below 0 or above 30 days.
        """
        if not 0 <= hours <= MUTED_AT_MOST_H:
            detail = f"must be from 0 (not any more) to {MUTED_AT_MOST_H}"
            raise InvalidRequest([FieldError("hours", "invalid", detail)])
        user = person_for(caller, identifier, scope=WRITE)
        with transaction.atomic():
            row = locked_preferences(user.pk)
            row.dnd_until = clock.now() + timedelta(hours=hours) if hours else None
            row.save()
        return preferences_of(user.pk)


def preferences_of(user_id: int) -> PreferencesResponse:
    """A person's preferences, in two queries."""
    row = UserNotificationPreference.objects.filter(user_id=user_id).first()
    overall = row or UserNotificationPreference(user_id=user_id)
    rows = NotificationCategoryPreference.objects.filter(user_id=user_id).order_by("category")
    return PreferencesResponse(
        overall=global_answer(overall),
        categories={each.category: category_answer(each, overall) for each in rows},
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Who says so, where and in which words: what every entry of the ledger needs."""

    actor: str
    source: str
    ip: str | None = None
    wordings: Mapping[str, str] = field(default_factory=dict)

    def write(self, user_id: int, purpose: str, granted: bool, *, flag: str = "") -> None:
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


def _merge(user_id: int, changes: Changes, evidence: Evidence) -> None:
    row = locked_preferences(user_id)
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
    for key, switches in changes.categories.items():
        ended = _is_ended(user_id, key)
        _set_switches(user_id, key, switches)
        if _is_ended(user_id, key) != ended:
            evidence.write(user_id, f"category:{key}", ended)


def _is_ended(user_id: int, category: str) -> bool:
    """Whether a person wants a category on no channel at all."""
    rows = NotificationCategoryPreference.objects.filter(user_id=user_id, category=category)
    row = rows.first()
    said = row.switches() if row else {}
    return len(said) == len(PERSON_CHANNELS) and not any(said.values())


def _set_switches(user_id: int, category: str, switches: Mapping[str, bool]) -> bool:
    rows = NotificationCategoryPreference.objects
    row, _ = rows.get_or_create(user_id=user_id, category=category)
    before = row.switches()
    for name, value in switches.items():
        setattr(row, name, value)
    row.choose(switches)
    row.save()
    return row.switches() != before


def _end(user_id: int, category: str, channels: Sequence[str]) -> bool:
    row = locked_preferences(user_id)
    changed = _set_switches(user_id, category, dict.fromkeys(map(switch_name, channels), False))
    facts = category_by_key(category)
    everywhere = set(channels) >= set(PERSON_CHANNELS)
    if facts and facts.terms.marketing and everywhere and row.marketing_enabled:
        row.marketing_enabled, changed = False, True
        row.save()
    return changed


def _end_all(user_id: int) -> bool:
    row = locked_preferences(user_id)
    changed = row.notifications_enabled or row.marketing_enabled
    row.notifications_enabled = row.marketing_enabled = False
    row.save()
    return changed
