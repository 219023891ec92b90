"""Status webhooks: the platform's endpoints, their deliveries, and replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.faults import unknown_action
from console.guard import Visit
from console.once import new_token
from console.paging import PAGE_ROWS, after_of, listed, page_links
from console.records.secrets import NewSecret, show_once
from console.shell import act, page, url_with
from notifications.domain.errors import Conflict, FieldError, InvalidRequest
from notifications.domain.identifiers import parse_key
from notifications.domain.status_events import KINDS
from notifications.features.webhooks.schemas import WebhookBody, WebhookReplayBody
from notifications.features.webhooks.service import MOST_SEEN, WebhookService
from notifications.models import WebhookDelivery

PATH = "/console/webhooks"
_LONGEST_URL, _LONGEST_NAME = 1000, 100


def webhooks(visit: Visit) -> HttpResponse:
    """Shows endpoints, the oldest first; a POST adds one and shows its secret."""
    if visit.is_post:
        return _created(visit)
    found = WebhookService().list(caller=visit.caller, after=after_of(visit), limit=PAGE_ROWS + 1)
    context: dict[str, Any] = {
        **listed(visit, PATH, found, lambda row: row.id),
        "kinds": [(kind, False) for kind in KINDS],
        "once": new_token(),
    }
    return page(visit, "records/webhooks.html", context, section="webhooks")


def webhook(visit: Visit, number: int) -> HttpResponse:
    """Shows an endpoint with its deliveries; a POST changes it, tests it or delivers again."""
    found = WebhookService().get(identifier=number, caller=visit.caller)
    if visit.is_post:
        return _acted(visit, number)
    state = visit.given("state")
    state = state if state in WebhookDelivery.State.values else ""
    path = f"{PATH}/{number}"
    rows, following = WebhookService().newest(
        identifier=number,
        caller=visit.caller,
        state=state,
        before=after_of(visit),
        limit=PAGE_ROWS,
    )
    context: dict[str, Any] = {
        "endpoint": found,
        "rows": rows,
        "seen": MOST_SEEN if state and following and len(rows) < PAGE_ROWS else 0,
        "states": [(_("All"), path, not state)]
        + [
            (_state_name(each), url_with(path, state=each), each == state)
            for each in WebhookDelivery.State.values
        ],
        "kinds": [(kind, kind in found.events) for kind in KINDS],
        "once": new_token(),
        "links": page_links(visit, path, {"state": state}, next_after=following),
    }
    return page(visit, "records/webhook.html", context, section="webhooks")


def _created(visit: Visit) -> HttpResponse:
    body = _body(visit)

    def work() -> NewSecret:
        made = WebhookService().create(body=_checked(body), caller=visit.caller)
        return NewSecret(number=made.id, name=made.url, text=made.secret or "")

    return show_once(
        visit, work, body=body, back=PATH, done=_("It was added already."), section="webhooks"
    )


def _acted(visit: Visit, number: int) -> HttpResponse:
    action, back = visit.given("action"), f"{PATH}/{number}"
    if action == "rotate":
        return show_once(
            visit,
            lambda: _rotated(visit, number),
            body={"action": action},
            back=back,
            done=_("The secret was replaced already."),
            section="webhooks",
        )
    if action == "delete":
        return act(visit, lambda: _deleted(visit, number), back=PATH, back_if_refused=back)
    work: Mapping[str, Callable[[Visit, int], str]] = {
        "change": _changed,
        "test": _tested,
        "replay": _replayed,
        "replay-since": _replayed_since,
    }
    return act(visit, lambda: work.get(action, _unknown)(visit, number), back=back)


def _unknown(_visit: Visit, _number: int) -> str:
    raise unknown_action()


def _rotated(visit: Visit, number: int) -> NewSecret:
    made = WebhookService().rotate(identifier=number, caller=visit.caller)
    return NewSecret(number=made.id, name=made.url, text=made.secret or "")


def _deleted(visit: Visit, number: int) -> str:
    WebhookService().delete(identifier=number, caller=visit.caller)
    return _("The endpoint was removed.")


def _changed(visit: Visit, number: int) -> str:
    body = {**_body(visit), "active": visit.given("active") == "on"}
    WebhookService().replace(identifier=number, body=_checked(body), caller=visit.caller)
    return _("The endpoint was changed.")


def _tested(visit: Visit, number: int) -> str:
    found = WebhookService().send_test(identifier=number, caller=visit.caller)
    answer = found.error or str(found.http_status)
    values = {"answer": answer, "milliseconds": found.duration_ms}
    if found.taken:
        return _("The endpoint took the test: %(answer)s after %(milliseconds)d ms.") % values
    raise Conflict(
        _("The endpoint did not take the test: %(answer)s after %(milliseconds)d ms.") % values
    )


def _replayed(visit: Visit, number: int) -> str:
    ids = [key for key in map(parse_key, visit.request.POST.getlist("id")[:PAGE_ROWS]) if key]
    if not ids:
        raise InvalidRequest([FieldError("id", "required", _("mark the deliveries first"))])
    return _replay(visit, number, {"ids": ids})


def _replayed_since(visit: Visit, number: int) -> str:
    given = {name: text for name in ("since", "until") if (text := visit.given(name))}
    return _replay(visit, number, given)


def _replay(visit: Visit, number: int, given: Mapping[str, Any]) -> str:
    try:
        body = msgspec.convert(given, WebhookReplayBody)
    except msgspec.ValidationError as error:
        detail = _("write times as 2030-05-01T12:00:00+02:00")
        raise InvalidRequest([FieldError("since", "invalid_time", detail)], detail) from error
    done = WebhookService().replay(identifier=number, body=body, caller=visit.caller)
    text = ngettext(
        "%(count)d event is delivered again.",
        "%(count)d events are delivered again.",
        done.replayed,
    ) % {"count": done.replayed}
    return f"{text} {_('There are more: give a shorter time.')}" if done.more else text


def _body(visit: Visit) -> dict[str, Any]:
    events = [each for each in visit.request.POST.getlist("events") if each in KINDS]
    return {
        "url": visit.given("url", longest=_LONGEST_URL + 1),
        "name": visit.given("name", longest=_LONGEST_NAME + 1),
        "events": events,  # all of them are not "all", which has future kinds, too
    }


def _checked(body: Mapping[str, Any]) -> WebhookBody:
    try:
        return msgspec.convert(body, WebhookBody)
    except msgspec.ValidationError as error:
        raise InvalidRequest([FieldError("url", "invalid", str(error))], str(error)) from error


def _state_name(state: str) -> str:
    return {
        WebhookDelivery.State.WAITING: _("Waiting"),
        WebhookDelivery.State.DELIVERED: _("Delivered"),
        WebhookDelivery.State.FAILED: _("Failed"),
    }[WebhookDelivery.State(state)]
