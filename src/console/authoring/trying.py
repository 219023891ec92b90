"""What is done with a draft or a version: publish it, go back to it, send it to oneself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.authoring.editor import count_check
from console.authoring.template import ShownDiff, shown_diff, template
from console.authoring.texts import may_write, seen_at
from console.faults import said, status_of
from console.guard import Visit
from console.once import run_once
from console.shell import act, page
from notifications.domain.channels import Channel
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest
from notifications.domain.identifiers import parse_key
from notifications.features.access.throttles import count_send
from notifications.features.sending.service import NotificationService
from notifications.features.templates.report_schemas import ValidationResponse
from notifications.features.templates.service import TemplateService
from notifications.infra import clock

MOST_SHOWN = 8
"""The most warnings that are shown after publishing; the page of publishing shows all."""


def publish(visit: Visit, number: int) -> HttpResponse:
    """Shows what publishing would change and warn of; publishes where the form was sent."""
    if not visit.is_post:
        return _review(visit, number)
    return act(
        visit,
        lambda: _published(visit, number),
        back=_home(number),
        if_changed=lambda: _review(visit, number, is_conflict=True),
    )


def _review(visit: Visit, number: int, *, is_conflict: bool = False) -> HttpResponse:
    """Shows the draft that a publication would publish.

    A script that asks for what the check finds gets that part alone, without the comparison.
    """
    is_part = visit.is_part
    service = TemplateService()
    row = service.get(identifier=number, caller=visit.caller)
    status = 409 if is_conflict else 200
    fault, found, texts = "", None, list[ShownDiff]()
    try:
        count_check(visit)
        found = service.validate(identifier=number, body={}, caller=visit.caller)
        if not is_part:
            diff = service.diff(identifier=number, caller=visit.caller)
            texts = [shown_diff(each) for each in diff.texts]
    except CarillonError as error:
        status, fault = status_of(error), said(error)
    context: Mapping[str, Any] = {
        "row": row,
        "fault": fault,
        "found": found,
        "texts": texts,
        "seen": row.updated_at.isoformat(),
        "is_conflict": is_conflict,
        "is_ready": found is not None and is_publishable(found),
        "may_write": may_write(visit, row),
    }
    name = "findings" if is_part else "publish"
    return page(visit, f"authoring/{name}.html", context, section="templates", status=status)


def is_publishable(found: ValidationResponse) -> bool:
    """Returns whether nothing prevents the publication. An unused variable is only a warning."""
    return not found.errors


def _published(visit: Visit, number: int) -> str:
    count_check(visit)
    has_dependants = visit.given("dependants") == "yes"
    done = TemplateService().publish(
        identifier=number,
        caller=visit.caller,
        dependants=has_dependants,
        seen=seen_at(visit),
    )
    for warning in done.warnings[:MOST_SHOWN]:
        messages.warning(visit.request, warning)
    text = _("Published as version %(number)d.") % {"number": done.version or 0}
    count = len(done.republished)
    if not count:
        return text
    more = ngettext(
        "%(count)d template that uses it was published again.",
        "%(count)d templates that use it were published again.",
        count,
    )
    return f"{text} {more % {'count': count}}"


def roll_back(visit: Visit, number: int) -> HttpResponse:
    """Publishes the texts of an old version again."""

    def work() -> str:
        version, seen = (parse_key(visit.given(name)) for name in ("version", "seen"))
        if version is None:
            raise InvalidRequest([FieldError("version", "required", _("name a version"))])
        if seen is None:
            raise InvalidRequest([FieldError("seen", "required", _("open the page again"))])
        done = TemplateService().rollback(
            identifier=number, caller=visit.caller, version=version, seen=seen
        )
        return _("The texts of version %(old)d are published again, as version %(new)d.") % {
            "old": version,
            "new": done.version or 0,
        }

    return act(
        visit,
        work,
        back=_home(number),
        if_changed=lambda: template(visit, number, is_conflict=True),
    )


def send_test(visit: Visit, number: int) -> HttpResponse:
    """Sends the published version to the visitor, once for each page that was opened."""

    def work() -> str:
        row = TemplateService().get(identifier=number, caller=visit.caller)
        example = {key: value for key, value in row.example_context.items() if key != "user"}
        body = {
            "template_path": row.path,
            "user_id": visit.user.pk,
            "channel": visit.given("channel") or Channel.IN_APP.value,
            "context": example,
        }

        def send() -> str:
            count_send(kind="send", caller=visit.caller, now=clock.now())
            return str(NotificationService().send(body=body, caller=visit.caller).id)

        sent = run_once(visit, f"{_home(number)}/test", body, send)
        return _("Sent to you: notification %(id)s") % {"id": sent}

    return act(visit, work, back=_home(number))


def _home(number: int) -> str:
    return f"/console/templates/{number}"
