"""The page of one person: addresses, preferences, consents, devices, inbox and history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpResponse
from django.utils.translation import gettext as _

from console import words
from console.guard import Visit, may_open
from console.once import new_token
from console.shell import page, url_with
from directory.models import Suppression, normalise_address
from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.preferences import switch_name
from notifications.features.inbox.reading import ShownArrival, read_page
from notifications.features.people.devices import DeviceService
from notifications.features.people.schemas import ContactPointResponse
from notifications.features.people.service import UserService
from notifications.features.preferences.consents import READ as READ_PREFERENCES
from notifications.features.preferences.schemas import PreferencesResponse, consent_response
from notifications.features.preferences.service import PreferenceService
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.models import Category, ConsentRecord, DataExport

SHOWN = 20
"""The most devices, consents, inbox rows and notifications on the page."""
_ACTIONS = ("test", "unsubscribe", "suppress", "export", "erase")


class ContactRow(NamedTuple):
    """An address of the person."""

    point: ContactPointResponse
    #: Why it is on the suppression list; empty where it is not.
    suppressed_for: str


class InboxRow(NamedTuple):
    """A row of the inbox, without its text."""

    uuid: Any
    category: str
    arrived_at: datetime
    state: str


def person(visit: Visit, number: int) -> HttpResponse:
    """Shows one person."""
    found = UserService().get(identifier=number, caller=visit.caller)
    may_read = visit.caller.may(READ_PREFERENCES)
    preferences = (
        PreferenceService().get(identifier=number, caller=visit.caller) if may_read else None
    )
    history = NotificationService().list(caller=visit.caller, filters={"user": number}, limit=SHOWN)
    exports = DataExport.objects.filter(user_id=number, own=False, expires_at__gt=clock.now())
    may_export = may_open(visit, "console/people/<int:number>/export")
    context: dict[str, Any] = {
        "person": found,
        "name": f"{found.first_name} {found.last_name}".strip() or found.username,
        "contacts": _contacts(found.contact_points),
        "preferences": preferences,
        "switches": _switches(preferences) if preferences else [],
        "consents": _consents(number) if may_read else [],
        "devices": DeviceService().list(caller=visit.caller, identifier=number, limit=SHOWN),
        "inbox": _inbox(number),
        "history": history.rows,
        "more": url_with("/console/notifications", user=number) if history.next_below else "",
        "export": exports.order_by("-pk").first() if may_export else None,
        "once": new_token(),
        "may": {name: may_open(visit, f"console/people/<int:number>/{name}") for name in _ACTIONS},
    }
    return page(visit, "person.html", context, section="people")


def _contacts(points: Sequence[ContactPointResponse]) -> list[ContactRow]:
    """Returns the addresses, and which of them are suppressed. Makes one query."""
    normal = {each.kind: normalise_address(each.kind, each.address) for each in points}
    listed = Suppression.objects.filter(address__in=list(normal.values()))
    reasons = {(row.kind, row.address): row.reason or row.source for row in listed}
    return [ContactRow(each, reasons.get((each.kind, normal[each.kind]), "")) for each in points]


def _switches(preferences: PreferencesResponse) -> list[tuple[str, bool]]:
    overall = preferences.overall
    rows = [
        (_("Notifications"), overall.notifications_enabled),
        (_("Marketing"), overall.marketing_enabled),
    ]
    rows += [
        (words.channel(each.value), bool(getattr(overall, switch_name(each))))
        for each in PERSON_CHANNELS
    ]
    rows += [
        (_("Quiet hours"), overall.quiet_hours_enabled),
        (_("Tracking of opens and clicks"), overall.tracking_enabled),
        (_("Consent to data processing"), overall.data_processing_consent),
    ]
    return rows


def _consents(number: int) -> list[Any]:
    rows = ConsentRecord.objects.filter(user_id=number).order_by("-pk")[:SHOWN]
    return [consent_response(row) for row in rows]


def _inbox(number: int) -> list[InboxRow]:
    """Returns the newest rows of the inbox. The texts are on the pages of the notifications."""
    events = read_page(number, limit=SHOWN).events
    arrivals = [each for each in events if isinstance(each, ShownArrival)]
    names = dict(Category.objects.values_list("pk", "key"))
    return [
        InboxRow(each.uuid, names.get(each.category_id, ""), each.arrived_at, _inbox_state(each))
        for each in arrivals
    ]


def _inbox_state(each: ShownArrival) -> str:
    if each.archived_at:
        return _("archived")
    if each.read_at:
        return _("read")
    return _("seen") if each.seen_at else _("unread")
