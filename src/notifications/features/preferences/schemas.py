"""Request and response bodies of preferences and consents."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from notifications.domain.preferences import SWITCHES
from notifications.models import (
    ConsentRecord,
    NotificationCategoryPreference,
    UserNotificationPreference,
)

CONSENT = "data_processing_consent"
GLOBAL_FLAGS = (
    "notifications_enabled",
    "marketing_enabled",
    *SWITCHES,
    "quiet_hours_enabled",
    CONSENT,
)
"""The general preferences that are on or off."""


class GlobalPreferences(msgspec.Struct, kw_only=True):
    """What a person wishes in general. Times are wall-clock times (HH:MM:SS) in timezone.

    timezone is empty when that of the user is taken. digest_frequency: immediate, hourly, daily,
    weekly or never (the inbox only). dnd_until: muted until then.
    """

    notifications_enabled: bool
    marketing_enabled: bool
    push_enabled: bool
    email_enabled: bool
    sms_enabled: bool
    websocket_enabled: bool
    telegram_enabled: bool
    in_app_enabled: bool
    quiet_hours_enabled: bool
    quiet_hours_start: str
    quiet_hours_end: str
    timezone: str
    dnd_until: datetime | None
    digest_frequency: str
    data_processing_consent: bool
    consent_given_at: datetime | None
    consent_withdrawn_at: datetime | None


class CategoryPreferences(msgspec.Struct, kw_only=True):
    """Which channels a person wants for one category."""

    push_enabled: bool
    email_enabled: bool
    sms_enabled: bool
    websocket_enabled: bool
    telegram_enabled: bool
    in_app_enabled: bool


class PreferencesResponse(msgspec.Struct, kw_only=True):
    """What a person wishes; categories holds those that they have said something about."""

    overall: GlobalPreferences = msgspec.field(name="global")
    categories: dict[str, CategoryPreferences]


class GlobalChanges(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The general wishes to change; what is left out stays as it is.

    consent_given_at and consent_withdrawn_at are passed over: data_processing_consent sets them.
    """

    notifications_enabled: bool | None = None
    marketing_enabled: bool | None = None
    push_enabled: bool | None = None
    email_enabled: bool | None = None
    sms_enabled: bool | None = None
    websocket_enabled: bool | None = None
    telegram_enabled: bool | None = None
    in_app_enabled: bool | None = None
    quiet_hours_enabled: bool | None = None
    quiet_hours_start: str | None = None
    quiet_hours_end: str | None = None
    timezone: str | None = None
    dnd_until: datetime | None = None
    digest_frequency: str | None = None
    data_processing_consent: bool | None = None


class CategoryChanges(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The channels of one category to change; what is left out stays as it is."""

    push_enabled: bool | None = None
    email_enabled: bool | None = None
    sms_enabled: bool | None = None
    websocket_enabled: bool | None = None
    telegram_enabled: bool | None = None
    in_app_enabled: bool | None = None


class PreferencesBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Changes, merged into what is there. A dnd_until of null ends do-not-disturb."""

    overall: GlobalChanges | None = msgspec.field(name="global", default=None)
    categories: dict[str, CategoryChanges] = {}


class PreferencesLink(msgspec.Struct, kw_only=True):
    """Where a person sees and changes their preferences without a login, until expires_at."""

    url: str
    expires_at: datetime


class UnsubscribeResponse(msgspec.Struct, kw_only=True):
    """The same for every token that was made here: what it did is the person's business alone."""

    status: str = "ok"


class ConsentBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a person agrees to or takes back. wording: the text that they were shown."""

    purpose: str
    granted: bool
    wording: str
    source: str = "api"
    user_id: str | int | None = None
    external_id: str | None = None


class ConsentResponse(msgspec.Struct, kw_only=True):
    """One entry of the consent ledger."""

    id: int
    user_id: int
    purpose: str
    granted: bool
    wording: str
    source: str
    actor: str
    ip: str | None
    at: datetime


class ConsentList(msgspec.Struct, kw_only=True):
    """A page of the consent ledger, the oldest first."""

    results: list[ConsentResponse]
    next: str | None = None
    previous: str | None = None


def global_response(row: UserNotificationPreference) -> GlobalPreferences:
    """Returns the general preferences of a row."""
    values: dict[str, Any] = {
        name: getattr(row, name) for name in GlobalPreferences.__struct_fields__
    }
    for name in ("quiet_hours_start", "quiet_hours_end"):
        values[name] = values[name].isoformat()
    return GlobalPreferences(**values)


def category_response(
    row: NotificationCategoryPreference, overall: UserNotificationPreference
) -> CategoryPreferences:
    """Returns the user's choices for a category; what has no choice has the general value."""
    return CategoryPreferences(
        **{
            name: getattr(row if row.has_chosen(name) else overall, name)
            for name in CategoryPreferences.__struct_fields__
        }
    )


def consent_response(row: ConsentRecord) -> ConsentResponse:
    """Returns one entry of the ledger."""
    return ConsentResponse(
        **{name: getattr(row, name) for name in ConsentResponse.__struct_fields__ if name != "id"},
        id=row.pk,
    )
