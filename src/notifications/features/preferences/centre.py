"""PreferenceCentre: what the hosted page shows of a person's wishes, and whom a link shows it."""

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
from notifications.features.preferences.link_holders import LINK_LASTS, address_shown, point_of
from notifications.features.preferences.schemas import GLOBAL_FLAGS, PreferencesLink
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.links import LinkKind, preferences_url, read_link
from notifications.models import NotificationCategoryPreference, UserNotificationPreference


@dataclass(frozen=True, slots=True)
class CategoryWishes:
    """A category and which channels are on for it, as a person sees them: inherited or chosen."""

    key: str
    name: str
    switches: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class CentreState:
    """Everything that the page shows. flags: what is on or off in general; dnd_until is in zone."""

    flags: Mapping[str, bool]
    quiet_hours_start: str
    quiet_hours_end: str
    timezone: str
    inherited_zone: str
    digest_frequency: str
    dnd_until: datetime | None
    categories: tuple[CategoryWishes, ...]


class PreferenceCentre:
    """Behind the hosted page; what it changes goes through PreferenceService."""

    def holder(self, *, token: str) -> User | None:
        """The person whose page a link opens; None for every link that opens none: forged, run out,
        of somebody erased, or sent to an address that is theirs no more."""
        fields = read_link(LinkKind.PREFERENCES, token, 3)
        if fields is None:
            return None
        number, mark, ends = fields
        if ends and int(ends) <= clock.now().timestamp():
            return None
        user = User.objects.filter(pk=int(number), is_active=True).first()
        if user is None or (mark and point_of(user.pk, mark) is None):
            return None
        return user

    def address_shown(self, *, user: User, token: str) -> str:
        """The address that a link was sent to, cut short; one that was sent nowhere shows the
        person's email. Empty when there is none."""
        fields = read_link(LinkKind.PREFERENCES, token, 3)
        return address_shown(user.pk, fields[1]) if fields else ""

    def link(self, *, caller: Caller, identifier: object = None) -> PreferencesLink:
        """A link to a person's page for the next hour: the platform opens it for whoever is logged
        in there.

        Raises:
            InvalidRequest, NotFound (unknown_user), Refused (missing_scope).
        """
        user = person_for(caller, identifier, scope=WRITE)
        ends = (clock.now() + LINK_LASTS).replace(microsecond=0)
        return PreferencesLink(url=preferences_url(user.pk, ends=ends), expires_at=ends)

    def state(self, *, user: User) -> CentreState:
        """What a person wishes, with everything that inherits filled in. Two queries."""
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
            digest_frequency=digest_of(row.wishes()),
            dnd_until=row.dnd_until.astimezone(zone) if muted and row.dnd_until else None,
            categories=_categories(row),
        )


@functools.cache
def zone_names() -> tuple[str, ...]:
    """The zones that a person may choose from, by name."""
    places = {name for name in zoneinfo.available_timezones() if "/" in name}
    old = ("Etc/", "SystemV/", "US/", "posix/", "right/")
    return ("UTC", *sorted(name for name in places if not name.startswith(old)))


def _flags(row: UserNotificationPreference) -> dict[str, bool]:
    """What is on or off in general; a channel that nothing was said about is the service's."""
    wishes = row.wishes()
    channels = {switch_name(each): channel_on(each, wishes) for each in PERSON_CHANNELS}
    return {name: getattr(row, name) for name in GLOBAL_FLAGS} | channels


def _categories(row: UserNotificationPreference) -> tuple[CategoryWishes, ...]:
    wishes = row.wishes()
    rows = NotificationCategoryPreference.objects.filter(user_id=row.user_id)
    own = {each.category: each.switches() for each in rows}
    found = []
    for key in category_keys():
        facts = category_by_key(key)
        if facts is None:
            continue
        said = own.get(key, {})
        raw = json.loads(facts.terms.defaults) if facts.terms.defaults else {}
        defaults = CategoryDefaults.of(raw)
        switches = {
            switch_name(channel): said.get(channel, channel_on(channel, wishes, defaults=defaults))
            for channel in PERSON_CHANNELS
        }
        found.append(CategoryWishes(key, facts.name or key, switches))
    return tuple(found)
