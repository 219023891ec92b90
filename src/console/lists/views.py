"""Mailing lists: all of them, one with its people, and who joins or leaves."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from console import words
from console.casting.listing import chosen_status, status_links
from console.casting.recipients import LONGEST_NAME, find_people_named
from console.categories import category_keys
from console.faults import faults_of
from console.guard import Visit, may_open
from console.paging import PAGE_ROWS, after_of, listed, page_links
from console.shell import act, page
from directory.models import ListMembership, ListStatus, User
from notifications.api.bodies import check_body
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest
from notifications.features.broadcasts.queries import display_name
from notifications.features.lists.members import MemberService, subscription
from notifications.features.lists.schemas import ListBody, SubscriptionResponse
from notifications.features.lists.service import ListService, find_list
from notifications.infra.http.client_address import address_of

PATH = "/console/lists"
SECTION = "lists"
SOURCE = "console"
LONGEST_WORDING = 10_000
_PAGE = "console/lists/<int:number>/<str:action>"


def lists(visit: Visit) -> HttpResponse:
    """Shows mailing lists, the oldest first; a POST makes one."""
    fault: CarillonError | None = None
    if visit.is_post:
        try:
            return _made(visit)
        except CarillonError as error:
            fault = error
    found = ListService().list(caller=visit.caller, after=after_of(visit), limit=PAGE_ROWS + 1)
    context: dict[str, Any] = {
        **listed(visit, PATH, found, lambda row: row.key),
        "may_write": may_open(visit, _PAGE),
        "categories": category_keys(),
        "given": visit.request.POST,
        "faults": faults_of(fault),
    }
    status = 400 if fault else 200
    return page(visit, "casting/lists.html", context, section=SECTION, status=status)


def _made(visit: Visit) -> HttpResponse:
    texts = {name: visit.given(name, longest=1_000) for name in ("name", "slug", "description")}
    flags = {name: bool(visit.given(name)) for name in ("is_public", "double_opt_in", "archive")}
    given = {**texts, **flags, "category": visit.given("category")}
    found = ListService().create(body=check_body(given, ListBody), caller=visit.caller)
    messages.success(visit.request, _("The list was made."))
    return HttpResponseRedirect(f"{PATH}/{found.key}")


def one_list(visit: Visit, number: int) -> HttpResponse:
    """Shows one list: how many people are in each state, and the people, a page at a time."""
    found = ListService().get(identifier=number, caller=visit.caller)
    chosen, path = chosen_status(visit, ListStatus.values), f"{PATH}/{number}"
    find = visit.given("find", longest=LONGEST_NAME)
    fault, rows, notes = "", list[SubscriptionResponse](), tuple[str, ...]()
    following = None
    if find:
        rows, fault, notes = _found_on(visit, number, find)
    else:
        listed = MemberService().list(
            identifier=number,
            caller=visit.caller,
            status=chosen,
            after=after_of(visit),
            limit=PAGE_ROWS + 1,
        )
        rows = list(listed[:PAGE_ROWS])
        following = rows[-1].user_id if len(listed) > PAGE_ROWS else None
    filters = {"status": chosen} if chosen else {}
    context: dict[str, Any] = {
        "list": found,
        "rows": _with_names(rows),
        "find": find,
        "fault": fault,
        "statuses": status_links(path, ListStatus.values, "" if find else chosen),
        "links": page_links(visit, path, filters, next_after=following),
        "notes": notes,
        "clear": path if find else "",
        "may_write": may_open(visit, _PAGE),
    }
    status = 400 if fault else 200
    return page(visit, "casting/list.html", context, section=SECTION, status=status)


def _found_on(
    visit: Visit, number: int, find: str
) -> tuple[list[SubscriptionResponse], str, tuple[str, ...]]:
    people, fault, notes = find_people_named(visit, find)
    rows = ListMembership.objects.filter(list=find_list(number), user_id__in=people)
    return [subscription(row) for row in rows.order_by("user_id")], fault, notes


def _with_names(rows: list[SubscriptionResponse]) -> list[tuple[SubscriptionResponse, str]]:
    people = User.objects.in_bulk([row.user_id for row in rows])
    return [(row, display_name(people.get(row.user_id))) for row in rows]


def list_action(visit: Visit, number: int, action: str) -> HttpResponse:
    """Puts a person on a list, or takes one off it."""
    if action not in ("subscribe", "unsubscribe"):
        raise Http404

    def work() -> str:
        common: dict[str, Any] = {
            "identifier": number,
            "person": _person(visit),
            "caller": visit.caller,
            "source": SOURCE,
            "ip": address_of(visit.request) or None,
        }
        if action == "unsubscribe":
            found = MemberService().unsubscribe(**common)
        else:
            wording = visit.given("wording", longest=LONGEST_WORDING)
            found = MemberService().subscribe(**common, wording=wording)
        return _("The person is now: %(state)s") % {"state": words.state(found.status)}

    return act(visit, work, back=f"{PATH}/{number}")


def _person(visit: Visit) -> int:
    """Returns the one person whom the form names.

    Raises:
        InvalidRequest: it names no one, or several.
    """
    people, fault, _notes = find_people_named(visit, visit.given("person", longest=LONGEST_NAME))
    if len(people) != 1:
        detail = fault or _("several people match: give a number, an email or an external id")
        raise InvalidRequest([FieldError("person", "unknown_user", detail)])
    return people[0]
