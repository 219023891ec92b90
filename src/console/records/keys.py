"""API keys: their scopes and use. The text of a key is shown once."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _

from console.faults import unknown_action
from console.guard import Visit
from console.once import new_token
from console.paging import PAGE_ROWS, after_of, listed
from console.records.secrets import NewSecret, show_once
from console.shell import act, page
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_key
from notifications.features.access.principals import EVERY_SCOPE
from notifications.features.access.service import (
    LONGEST_OVERLAP_S,
    ApiKeyResponse,
    ApiKeyService,
)
from notifications.models import SCOPES, ApiKey

PATH = "/console/keys"
_LONGEST_ADDRESSES = 3_000
_HOUR_S = 3_600


def keys(visit: Visit) -> HttpResponse:
    """Shows keys, the oldest first; a POST issues one and shows its text."""
    if visit.is_post:
        return _issued(visit)
    found = ApiKeyService().list(caller=visit.caller, after=after_of(visit), limit=PAGE_ROWS + 1)
    context: dict[str, Any] = {
        **listed(visit, PATH, found, lambda row: row.id),
        "scopes": [(name, about) for name, about in SCOPES.items() if visit.caller.may(name)],
        "every": EVERY_SCOPE,
        "kinds": ApiKey.Kind.values,
        "once": new_token(),
    }
    return page(visit, "records/keys.html", context, section="keys")


def key(visit: Visit, number: int) -> HttpResponse:
    """Shows one key; a POST renews it, sets its networks, or revokes it."""
    found = _find(visit, number)
    if visit.is_post:
        return _acted(visit, number)
    context: dict[str, Any] = {
        "key": found,
        "addresses": "\n".join(found.addresses),
        "most_hours": LONGEST_OVERLAP_S // _HOUR_S,
        "once": new_token(),
    }
    return page(visit, "records/key.html", context, section="keys")


def _find(visit: Visit, number: int) -> ApiKeyResponse:
    found = ApiKeyService().list(caller=visit.caller, after=max(0, number - 1), limit=1)
    if not found or found[0].id != number:
        raise NotFound(f"there is no API key {number}", code="unknown_api_key")
    return found[0]


def _issued(visit: Visit) -> HttpResponse:
    body: dict[str, Any] = {
        "name": visit.given("name"),
        "scopes": visit.request.POST.getlist("scopes")[: len(SCOPES) + 1],
        "kind": visit.given("kind", longest=10),
        "addresses": _addresses(visit),
    }

    def work() -> NewSecret:
        made = ApiKeyService().issue(**body, caller=visit.caller)
        return NewSecret(number=made.id, name=made.name, text=made.key or "")

    return show_once(
        visit, work, body=body, back=PATH, done=_("The key was issued already."), section="keys"
    )


def _acted(visit: Visit, number: int) -> HttpResponse:
    action, back = visit.given("action"), f"{PATH}/{number}"
    if action == "rotate":
        hours = visit.given("hours", longest=4)
        return show_once(
            visit,
            lambda: _renewed(visit, number, hours),
            body={"hours": hours},
            back=back,
            done=_("The key was renewed already."),
            section="keys",
        )
    return act(visit, lambda: _changed(visit, number, action), back=back)


def _renewed(visit: Visit, number: int, hours: str) -> NewSecret:
    count = parse_key(hours) if hours else 0
    if count is None and hours.strip("0"):
        raise InvalidRequest([FieldError("hours", "invalid", _("write a number of hours"))])
    made = ApiKeyService().rotate(
        identifier=number, overlap_s=(count or 0) * _HOUR_S, caller=visit.caller
    )
    return NewSecret(number=made.id, name=made.name, text=made.key or "")


def _changed(visit: Visit, number: int, action: str) -> str:
    if action == "revoke":
        ApiKeyService().revoke(identifier=number, caller=visit.caller)
        return _("The key was revoked. Nothing is accepted with it any more.")
    if action == "addresses":
        ApiKeyService().set_addresses(
            identifier=number, addresses=_addresses(visit), caller=visit.caller
        )
        return _("The networks were set.")
    raise unknown_action()


def _addresses(visit: Visit) -> list[str]:
    """Returns the networks of the form: one a line."""
    lines = visit.given("addresses", longest=_LONGEST_ADDRESSES).splitlines()
    return [each.strip() for each in lines if each.strip()]
