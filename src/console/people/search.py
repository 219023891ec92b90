"""Finds a person, or a notification, by what a member of staff has at hand.

A name, an address, a phone number, a number or UUID of ours, an id of the platform, the id of a
notification or of a provider's message, or the header of a mail that was pasted whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.http import HttpResponse, HttpResponseRedirect

from console.faults import said
from console.guard import Visit, may_open
from console.paging import after_of, page_links
from console.sentences.translating import translated
from console.shell import page
from directory.lookup import find_people
from directory.references import ExternalId
from directory.texts import is_storable
from notifications.domain.errors import CarillonError, InvalidRequest
from notifications.domain.identifiers import key_of, parse_key
from notifications.features.people.schemas import UserResponse
from notifications.features.people.service import UserService
from notifications.models import DeliveryAttempt, Notification, NotificationMessage

PATH = "/console/people"
LONGEST = 20_000
"""A pasted header may be so long."""
ROWS = 25
_LONGEST_NAME = 300
_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_MESSAGE_ID = re.compile(r"^message-id:[ \t]*(?:\r?\n[ \t]+)?<?([^\s<>]{1,300})>?", re.I | re.M)
_LONGEST_VENDOR_ID = 200


class SearchResult(NamedTuple):
    """What a search found."""

    people: Sequence[UserResponse]
    next_after: int | None
    #: Why nothing was searched, as a sentence; empty where it was.
    fault: str


def search(visit: Visit) -> HttpResponse:
    """Shows the people whom a text names. A text that names one thing leads to its page."""
    text = visit.given("find", longest=LONGEST)
    found = SearchResult([], None, "")
    if text:
        target = "" if after_of(visit) else target_of(visit, text)
        if target:
            return _lead(visit, target)
        found = _people(visit, text)
    context = {
        "find": text[:_LONGEST_NAME],
        "people": found.people,
        "fault": found.fault,
        "links": page_links(
            visit, PATH, {"find": text[:_LONGEST_NAME]}, next_after=found.next_after
        ),
    }
    status = 400 if found.fault else 200
    return page(visit, "people.html", context, section="people", status=status)


def _lead(visit: Visit, target: str) -> HttpResponse:
    """Leads to another page; a script that fetched a part of this one is asked to load it."""
    if visit.is_part:
        return HttpResponse(headers={"HX-Redirect": target})
    return HttpResponseRedirect(target)


def target_of(visit: Visit, text: str) -> str:
    """Returns the page of the one thing that a text names; empty where it names none."""
    header = _MESSAGE_ID.search(text)
    if header is not None:
        text = header.group(1)
    elif len(text) > _LONGEST_NAME:
        return ""
    number = person_named(text)
    if number is not None:
        return f"{PATH}/{number}"
    if not may_open(visit, "console/notifications"):
        return ""
    uuid = _notification_named(text)
    return f"/console/notifications/{uuid}" if uuid is not None else ""


def person_named(text: str) -> int | None:
    """Returns the person with this number, UUID or id of the platform. Makes up to two queries."""
    if not is_storable(text):
        return None
    wanted: list[int | UUID | ExternalId] = []
    if (key := parse_key(text)) is not None:
        wanted.append(key)
    if _UUID.fullmatch(text):
        wanted.append(UUID(text))
    if len(text) <= 100:
        wanted.append(ExternalId(text.removeprefix("ext:")))
    found = find_people(wanted)
    numbers = {found[each] for each in wanted if each in found}
    return numbers.pop() if len(numbers) == 1 else None


def _notification_named(text: str) -> UUID | None:
    """Returns the notification that an id of ours, or of a provider, names."""
    for match in _UUID.findall(text)[:3]:
        uuid = UUID(match)
        key = key_of(uuid)
        if key is not None and Notification.objects.filter(pk=key, uuid=uuid).exists():
            return uuid
    if len(text) > _LONGEST_VENDOR_ID or not is_storable(text) or " " in text:
        return None
    attempts = DeliveryAttempt.objects.filter(provider_message_id=text).order_by("-pk")
    message = attempts.values_list("message_id", flat=True).first()
    if message is None:
        return None
    rows = NotificationMessage.objects.filter(pk=message)
    return rows.values_list("notification__uuid", flat=True).first()


def _people(visit: Visit, text: str) -> SearchResult:
    try:
        rows = UserService().list(
            caller=visit.caller,
            filters={"search": text[:_LONGEST_NAME]},
            after=after_of(visit),
            limit=ROWS + 1,
        )
    except InvalidRequest as error:
        return SearchResult([], None, translated(error.errors[0].detail))
    except CarillonError as error:
        return SearchResult([], None, said(error))
    shown = rows[:ROWS]
    return SearchResult(shown, shown[-1].id if len(rows) > ROWS else None, "")
