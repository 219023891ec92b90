"""Request and response bodies of preferences and consents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from notifications.domain.preferences import SWITCHES, DigestFrequency
from notifications.infra.field_types import (
    ExternalIdOrNone,
    NextPage,
    PreviousPage,
    UserId,
    UserRefOrNone,
    choice,
)
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
    "tracking_enabled",
    CONSENT,
)
"""The general preferences that are on or off."""


DigestName = Annotated[
    str,
    choice(
        "DigestFrequency",
        DigestFrequency,
        "How often messages that are not urgent are sent. `never`: they stay in the inbox.",
    ),
]
Switch = Annotated[bool, Meta(description="Whether messages may use this channel.")]
SwitchChange = Annotated[
    bool | None, Meta(description="Whether messages may use this channel.", examples=[False])
]


class GlobalPreferences(msgspec.Struct, kw_only=True):
    """A user's preferences for all categories. Times of day are on the clock of `timezone`."""

    notifications_enabled: bool
    """Whether the user gets notifications at all."""

    marketing_enabled: bool
    """Whether the user gets notifications of marketing categories."""

    push_enabled: Switch
    email_enabled: Switch
    sms_enabled: Switch
    websocket_enabled: Switch
    telegram_enabled: Switch
    in_app_enabled: Switch

    quiet_hours_enabled: bool
    """Whether messages of low priority are deferred during quiet hours."""

    quiet_hours_start: str
    """The time of day at which quiet hours begin (HH:MM:SS). Example: `"22:00:00"`"""

    quiet_hours_end: str
    """The time of day at which quiet hours end (HH:MM:SS). Example: `"08:00:00"`"""

    timezone: str
    """The IANA time zone of quiet hours and digests; empty for the user's own.
    Example: `Europe/Paris`"""

    dnd_until: datetime | None
    """Until when all messages are paused, "do not disturb" (RFC 3339), or null."""

    digest_frequency: DigestName

    tracking_enabled: bool
    """Whether opens and clicks of the user's emails may be tracked."""

    data_processing_consent: bool
    """Whether the user consents that their data is processed for what rests on consent."""

    consent_given_at: datetime | None
    """When the user gave this consent (RFC 3339), or null."""

    consent_withdrawn_at: datetime | None
    """When the user withdrew this consent (RFC 3339), or null."""


class CategoryPreferences(msgspec.Struct, kw_only=True):
    """A user's channels for one category."""

    push_enabled: Switch
    email_enabled: Switch
    sms_enabled: Switch
    websocket_enabled: Switch
    telegram_enabled: Switch
    in_app_enabled: Switch


class PreferencesResponse(msgspec.Struct, kw_only=True):
    """A user's preferences."""

    overall: GlobalPreferences = msgspec.field(name="global")
    """The preferences for all categories."""

    categories: dict[str, CategoryPreferences]
    """The preferences by category; categories without a choice of the user are left out."""


class GlobalChanges(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Changes of the preferences for all categories. A field that is left out stays as it is.

    `consent_given_at` and `consent_withdrawn_at` have no effect here.
    """

    notifications_enabled: bool | None = None
    """Whether the user gets notifications at all."""

    marketing_enabled: bool | None = None
    """Whether the user gets notifications of marketing categories."""

    push_enabled: SwitchChange = None
    email_enabled: SwitchChange = None
    sms_enabled: SwitchChange = None
    websocket_enabled: SwitchChange = None
    telegram_enabled: SwitchChange = None
    in_app_enabled: SwitchChange = None

    quiet_hours_enabled: bool | None = None
    """Whether messages of low priority are deferred during quiet hours."""

    quiet_hours_start: str | None = None
    """The time of day at which quiet hours begin (HH:MM). Example: `"22:00"`"""

    quiet_hours_end: str | None = None
    """The time of day at which quiet hours end (HH:MM). Example: `"08:00"`"""

    timezone: str | None = None
    """The IANA time zone of quiet hours and digests; empty for the user's own.
    Example: `Europe/Paris`"""

    dnd_until: datetime | None = None
    """Until when all messages are paused (RFC 3339); null ends the pause."""

    digest_frequency: DigestName | None = None
    """How often messages that are not urgent are sent. Example: `daily`"""

    tracking_enabled: bool | None = None
    """Whether opens and clicks of the user's emails may be tracked."""

    data_processing_consent: bool | None = None
    """Whether the user consents that their data is processed for what rests on consent."""


class CategoryChanges(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Changes of the channels of one category. A field that is left out stays as it is."""

    push_enabled: SwitchChange = None
    email_enabled: SwitchChange = None
    sms_enabled: SwitchChange = None
    websocket_enabled: SwitchChange = None
    telegram_enabled: SwitchChange = None
    in_app_enabled: SwitchChange = None


class PreferencesBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Changes of a user's preferences; what is left out stays as it is."""

    overall: GlobalChanges | None = msgspec.field(name="global", default=None)
    """Changes for all categories."""

    categories: dict[str, CategoryChanges] = {}
    """Changes by the key of a category."""


class PreferencesLink(msgspec.Struct, kw_only=True):
    """A link to a user's preference centre, which needs no login."""

    url: str
    """The link for the user. Example: `https://carillon.example.com/preferences/k3x9`"""

    expires_at: datetime
    """Until when the link works (RFC 3339)."""


class UnsubscribeResponse(msgspec.Struct, kw_only=True):
    """The link was followed. The response is the same for every valid token, for privacy."""

    status: str = "ok"
    """Always `ok`. Example: `ok`"""


class ConsentBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A consent that a user gives or withdraws."""

    purpose: str
    """What the user consents to: `marketing`, `category:` and a key, or your own word.
    Example: `marketing`"""

    granted: bool
    """True when the user gives the consent, false when the user withdraws it."""

    wording: str
    """The text that the user was shown. Example: `Send me offers by email.`"""

    source: str = "api"
    """Where the user gave or withdrew it. Example: `signup form`"""

    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None


class ConsentResponse(msgspec.Struct, kw_only=True):
    """One entry of the consent ledger."""

    id: int
    """The integer id of the entry. Example: `17`"""

    user_id: UserId

    purpose: str
    """What the consent is for. Example: `marketing`"""

    granted: bool
    """True when the consent was given, false when it was withdrawn."""

    wording: str
    """The text that the user was shown. Example: `Send me offers by email.`"""

    source: str
    """Where the user gave or withdrew it. Example: `signup form`"""

    actor: str
    """Who recorded it: a user, an API key or the service. Example: `key:7`"""

    ip: str | None
    """The IP address of the request, or null. Example: `203.0.113.7`"""

    at: datetime
    """When it was recorded (RFC 3339)."""


class ConsentList(msgspec.Struct, kw_only=True):
    """A page of the consent ledger, the oldest first."""

    results: list[ConsentResponse]
    """The entries of this page."""

    next: NextPage = None
    previous: PreviousPage = None


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
