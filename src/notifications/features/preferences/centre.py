"""PreferenceCentre: what the hosted page shows of a user's preferences, and who may open it."""

from __future__ import annotations

import functools
import json
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.preferences import CategoryDefaults, channel_on, digest_of, switch_name
from notifications.domain.wall_clock import first_zone
from notifications.engine.shared_rows import category_by_key, category_keys
from notifications.features.access.persons import person_for
from notifications.features.preferences.consents import WRITE
from notifications.features.preferences.link_holders import (
    LINK_LIFETIME,
    find_point,
    masked_address_of,
)
from notifications.features.preferences.schemas import GLOBAL_FLAGS, PreferencesLink
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.links import LinkKind, preferences_url, read_link
from notifications.models import NotificationCategoryPreference, UserNotificationPreference


@dataclass(frozen=True, slots=True)
class CategoryChoices:
    """A category and which channels are on for it, inherited or chosen."""

    key: str
    name: str
    #: By name of the switch, e.g. `email_enabled`.
    switches: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class CentreState:
    """Everything that the page shows."""

    #: What is on or off in general, by name of the preference.
    flags: Mapping[str, bool]
    quiet_hours_start: str
    quiet_hours_end: str
    timezone: str
    #: The zone that applies when `timezone` is empty.
    inherited_zone: str
    digest_frequency: str
    #: In the user's zone; None when do not disturb is off.
    dnd_until: datetime | None
    categories: tuple[CategoryChoices, ...]


class PreferenceCentre:
    """Reads what the hosted page shows. Changes go through PreferenceService."""

    def holder(self, *, token: str) -> User | None:
        """Returns the user whose page a link opens.

        None when the link is forged or expired, when the user was erased, or when the link was sent
        to an address that is no longer the user's.
        """
        fields = read_link(LinkKind.PREFERENCES, token, 3)
        if fields is None:
            return None
        number, mark, ends = fields
        if ends and int(ends) <= clock.now().timestamp():
            return None
        user = User.objects.filter(pk=int(number), is_active=True).first()
        if user is None or (mark and find_point(user.pk, mark) is None):
            return None
        return user

    def masked_address_of(self, *, user: User, token: str) -> str:
        """Returns the masked address that a link was sent to.

        A link that was sent to no address shows the user's email address. Empty without any.
        """
        fields = read_link(LinkKind.PREFERENCES, token, 3)
        return masked_address_of(user.pk, fields[1]) if fields else ""

    def link(self, *, caller: Caller, identifier: object = None) -> PreferencesLink:
        """Returns a link to a user's page that is valid for one hour.

        The platform opens it for the user who is logged in there.

        Raises:
            InvalidRequest, NotFound (unknown_user), Refused (missing_scope).
        """
        user = person_for(caller, identifier, scope=WRITE)
        ends = (clock.now() + LINK_LIFETIME).replace(microsecond=0)
        return PreferencesLink(url=preferences_url(user.pk, ends=ends), expires_at=ends)

    def state(self, *, user: User) -> CentreState:
        """Returns a user's preferences, with inherited values filled in. Makes two queries."""
        row = UserNotificationPreference.objects.filter(user_id=user.pk).first()
        row = row or UserNotificationPreference(user_id=user.pk)
        zone, _ = first_zone(row.timezone, user.timezone, environment().timezone)
        muted = row.dnd_until is not None and row.dnd_until > clock.now()
        return CentreState(
            flags=_flags(row),
            quiet_hours_start=f"{row.quiet_hours_start:%H:%M}",
            quiet_hours_end=f"{row.quiet_hours_end:%H:%M}",
            timezone=row.timezone,
            inherited_zone=user.timezone or environment().timezone,
            digest_frequency=digest_of(row.as_preferences()),
            dnd_until=row.dnd_until.astimezone(zone) if muted and row.dnd_until else None,
            categories=_categories(row),
        )


@functools.cache
def zone_names() -> tuple[str, ...]:
    """Returns the names of the zones that a user may choose."""
    places = {name for name in zoneinfo.available_timezones() if "/" in name}
    old = ("Etc/", "SystemV/", "US/", "posix/", "right/")
    return ("UTC", *sorted(name for name in places if not name.startswith(old)))


def _flags(row: UserNotificationPreference) -> dict[str, bool]:
    """Returns what is on or off in general; a channel without a choice has the default."""
    general = row.as_preferences()
    channels = {switch_name(each): channel_on(each, general) for each in PERSON_CHANNELS}
    return {name: getattr(row, name) for name in GLOBAL_FLAGS} | channels


def _categories(row: UserNotificationPreference) -> tuple[CategoryChoices, ...]:
    general = row.as_preferences()
    rows = NotificationCategoryPreference.objects.filter(user_id=row.user_id)
    own = {each.category: each.switches() for each in rows}
    found = []
    for key in category_keys():
        facts = category_by_key(key)
        if facts is None:
            continue
        chosen = own.get(key, {})
        raw = json.loads(facts.terms.defaults) if facts.terms.defaults else {}
        defaults = CategoryDefaults.of(raw)
        switches = {
            switch_name(channel): chosen.get(
                channel, channel_on(channel, general, defaults=defaults)
            )
            for channel in PERSON_CHANNELS
        }
        found.append(CategoryChoices(key, facts.name or key, switches))
    return tuple(found)
