"""What the forms on the page of a person do. The services are those of the API, which audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.utils.translation import gettext as _

from console.guard import Visit
from console.once import made_once
from console.shell import act
from notifications.domain.channels import Channel
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.access.throttles import count_send
from notifications.features.people.relations import SuppressionService
from notifications.features.preferences.service import PreferenceService
from notifications.features.privacy.export.service import ExportService
from notifications.features.privacy.export.writing import MEDIA
from notifications.features.privacy.service import PrivacyService
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.models import Erasure

SOURCE = "console"
CONFIRMED = "erase"
"""What a person types to confirm an erasure, beside the reason."""
_LONGEST_REASON = 200


def send_test(visit: Visit, number: int) -> HttpResponse:
    """Sends a notification of a template to the person, once for each form that was opened."""

    def work() -> str:
        body = {
            "template_path": visit.given("template"),
            "user_id": number,
            "channel": visit.given("channel") or Channel.IN_APP.value,
            "context": _context(visit),
        }
        return _("Accepted: notification %(id)s") % {"id": _sent_once(visit, number, body)}

    return _acted(visit, number, work)


def _sent_once(visit: Visit, number: int, body: Mapping[str, Any]) -> str:
    """Sends within the hourly limit, and returns the id; a form that was sent twice sends once."""

    def work() -> str:
        count_send(kind="send", caller=visit.caller, now=clock.now())
        return str(NotificationService().send(body=body, caller=visit.caller).id)

    return made_once(visit, f"/console/people/{number}/test", body, work)


def unsubscribe(visit: Visit, number: int) -> HttpResponse:
    """Switches a category off for the person; without one, everything but urgent messages."""

    def work() -> str:
        changed = PreferenceService().unsubscribe(
            caller=visit.caller,
            source=SOURCE,
            identifier=number,
            category=visit.given("category") or None,
        )
        return _("Unsubscribed.") if changed else _("It was off already.")

    return _acted(visit, number, work)


def suppress(visit: Visit, number: int) -> HttpResponse:
    """Puts an address of the person on the suppression list."""

    def work() -> str:
        kind, address = visit.given("kind", longest=20), visit.given("address", longest=320)
        reason = _reason(visit)
        done = SuppressionService().add(
            rows=[(kind, address, reason)], source=visit.caller.name, caller=visit.caller
        )
        if done.rejected:
            rejected = done.rejected[0]
            raise InvalidRequest([FieldError("address", rejected.code, rejected.detail)])
        return _("Nothing is sent to this address any more.")

    return _acted(visit, number, work)


def export(visit: Visit, number: int) -> HttpResponse:
    """Requests an export of everything that is stored about the person."""

    def work() -> str:
        ExportService().request(identifier=number, caller=visit.caller)
        return _("The export is being written. This page links to it as soon as it is ready.")

    return _acted(visit, number, work)


def export_file(visit: Visit, identifier: str, form: str) -> StreamingHttpResponse:
    """Returns a file of an export: json or html."""
    if form not in MEDIA:
        raise Http404
    parts = ExportService().download(identifier=identifier, form=form, caller=visit.caller)
    name = f"personal-data.{form}"
    return StreamingHttpResponse(
        parts,
        content_type=MEDIA[form],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def erase(visit: Visit, number: int) -> HttpResponse:
    """Begins the erasure of the person, where the form confirms it."""

    def work() -> str:
        reason = _reason(visit)
        if visit.given("confirm") != CONFIRMED:
            detail = _("type the word %(word)s to confirm") % {"word": CONFIRMED}
            raise InvalidRequest([FieldError("confirm", "required", detail)])
        done = PrivacyService().erase_user(identifier=number, reason=reason, caller=visit.caller)
        if done.state == Erasure.State.WAITING_FOR_HOLD:
            return _(
                "Sending has stopped. The erasure waits for the end of a legal hold."
                " Its certificate: %(id)s"
            ) % {"id": done.certificate_id}
        return _("The erasure has begun. Its certificate: %(id)s") % {"id": done.certificate_id}

    return _acted(visit, number, work, back="/console/people")


def _acted(visit: Visit, number: int, work: Callable[[], str], *, back: str = "") -> HttpResponse:
    person = f"/console/people/{number}"
    return act(visit, work, back=back or person, back_if_refused=person)


def _reason(visit: Visit) -> str:
    reason = visit.given("reason", longest=_LONGEST_REASON)
    if not reason:
        raise InvalidRequest([FieldError("reason", "required", _("say why"))])
    return reason


def _context(visit: Visit) -> dict[str, str]:
    """Returns the variables of the form, one `name=value` a line."""
    lines = visit.given("context", longest=10_000).splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip(): value.strip() for name, _sign, value in pairs}
