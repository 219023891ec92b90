"""The recipients of a broadcast, and why one person did or did not get it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from console.casting.broadcasts import PATH, SECTION, shown_of
from console.casting.figures import COUNTED
from console.casting.listing import Searched, chosen_status, recipients_shown
from console.faults import said
from console.guard import Visit
from console.paging import PAGE_ROWS, after_of, cut
from console.people.search import person_named
from console.sentences.translating import translated
from console.shell import page, url_with
from directory.models import User
from notifications.domain.broadcast_lifecycle import RecipientState
from notifications.domain.errors import CarillonError, InvalidRequest
from notifications.features.broadcasts.queries import display_name, recipient_responses
from notifications.features.broadcasts.service import BroadcastWorkflow
from notifications.features.people.service import UserService
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import Broadcast, BroadcastRecipient, Notification

LONGEST_NAME = 300
FOUND = 25
"""The most people whom a name finds."""


class PeopleFound(NamedTuple):
    """Whom a search for recipients found."""

    people: Sequence[int]
    #: What is wrong with the search, as a sentence.
    fault: str = ""
    #: What else is to be said of it, as sentences.
    notes: tuple[str, ...] = ()


def recipients(visit: Visit, number: int) -> HttpResponse:
    """Shows recipients by number of the person: all, those of a state, or those of a name."""
    row = BroadcastWorkflow().find(number, caller=visit.caller)
    find, chosen = visit.given("find", longest=LONGEST_NAME), chosen_status(visit, COUNTED)
    rows = BroadcastRecipient.objects.filter(broadcast=row)
    fault, others = "", list[str]()
    if find:
        if row.campaign_id is not None:  # a person may be in another group, or held out
            whole = f"/console/campaigns/{row.campaign_id}/recipients"
            return HttpResponseRedirect(url_with(whole, find=find))
        people, fault, notes = find_people_named(visit, find)
        found = list(rows.filter(recipient_id__in=people).order_by("recipient_id"))
        others = [*notes, *missing_in_words(people, found, _why_missing(row))]
    else:
        rows = _in_state(row, rows, chosen) if chosen else rows
        rows = rows.filter(recipient_id__gt=after_of(visit)).order_by("recipient_id")
        found = list(rows[: PAGE_ROWS + 1])
    some, following = cut(found, lambda each: each.recipient_id)
    shown = recipient_responses([each.pk for each in some])
    uuids = notifications_of(some)
    context = {
        **shown_of(visit, row),
        **recipients_shown(
            visit,
            [(each, uuids.get(each.user_id)) for each in shown],
            path=f"{PATH}/{row.pk}/recipients",
            statuses=COUNTED,
            next_after=following,
            searched=Searched(find, fault, others),
        ),
    }
    status = 400 if fault else 200
    return page(visit, "casting/recipients.html", context, section=SECTION, status=status)


def _in_state(
    row: Broadcast, rows: QuerySet[BroadcastRecipient], state: str
) -> QuerySet[BroadcastRecipient]:
    """Returns the recipients of a state. Where none waits, the index of all is not read for it."""
    if state == RecipientState.PENDING and row.job_id is not None and row.tally.pending <= 0:
        return rows.none()
    return rows.filter(state=state)


def notifications_of(found: Iterable[BroadcastRecipient]) -> Mapping[int, UUID]:
    """Returns the ids of the notifications of recipients, by the id of the person."""
    keys = {each.recipient_id: each.notification_id or 0 for each in found}
    rows = Notification.objects.filter(pk__in=[key for key in keys.values() if key])
    uuids = dict(rows.values_list("pk", "uuid"))
    return {person: uuids[key] for person, key in keys.items() if key in uuids}


def find_people_named(visit: Visit, text: str) -> PeopleFound:
    """Returns the people whom a number, an id, a name or an address names."""
    number = person_named(text)
    if number is not None:
        return PeopleFound([number])
    try:
        rows = UserService().list(
            caller=visit.caller, filters={"search": text}, after=0, limit=FOUND + 1
        )
    except InvalidRequest as error:
        return PeopleFound([], translated(error.errors[0].detail))
    except CarillonError as error:
        return PeopleFound([], said(error))
    if not rows:
        return PeopleFound([], _("No one matches."))
    note = _("More than %(count)d people match. Only the first %(count)d are looked up.")
    notes = (note % {"count": FOUND},) if len(rows) > FOUND else ()
    return PeopleFound([each.id for each in rows[:FOUND]], notes=notes)


def missing_in_words(
    people: Sequence[int], found: Iterable[BroadcastRecipient], why: str
) -> list[str]:
    """Says of the people who are no recipients why they got nothing. why: with their `name`."""
    shown = {each.recipient_id for each in found}
    missing = [each for each in people if each not in shown]
    names = User.objects.in_bulk(missing)
    return [why % {"name": display_name(names[each])} for each in missing if each in names]


def _why_missing(row: Broadcast) -> str:
    if row.sent_at is None:
        return _("%(name)s has got nothing: the broadcast has not begun.")
    if not row.snapshot_done and row.job_id is not None:
        return _("%(name)s is no recipient so far: the recipients are still being written.")
    rows = BroadcastRecipient.objects.filter(broadcast=row)
    if is_forgotten(row.completed_at) or (row.tally.total > 0 and not rows.exists()):
        return forgotten_words()
    return _("%(name)s was not in the audience when the broadcast began, so nothing was sent.")


def is_forgotten(ended_at: datetime | None) -> bool:
    """Returns whether recipients of what ended then are deleted, all or a part of them."""
    days = environment().facts_retention_days
    return ended_at is not None and ended_at <= clock.now() - timedelta(days=days)


def forgotten_words() -> str:
    """Returns that no one knows, with the `name` of the person."""
    return _("Nothing is known of %(name)s: the recipients of that time have been deleted.")
