"""The audit log: who changed what, with filters, and the proof of each entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

import msgspec
from django.http import Http404, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.utils.translation import gettext as _

from console.faults import said
from console.guard import Visit
from console.paging import PAGE_ROWS, after_of, cut, page_links
from console.shell import page, url_with
from notifications.domain.errors import CarillonError
from notifications.domain.identifiers import parse_key
from notifications.domain.wall_clock import instant_of
from notifications.features.audit.queries import AuditFilter, audit_filter
from notifications.features.audit.schemas import AuditEntryResponse
from notifications.features.audit.service import AuditService
from notifications.features.preferences.consents import ConsentService

PATH = "/console/audit"
_TEXTS = ("actor", "action", "target", "user", "from", "to")
_CONSENT = "consent:"


class ChangedValue(NamedTuple):
    """One value of an entry before and after it."""

    name: str
    before: str
    after: str


def audit(visit: Visit) -> HttpResponse:
    """Shows entries, the newest first."""
    filters = {name: text for name in _TEXTS if (text := visit.given(name))}
    fault, found = "", list[AuditEntryResponse]()
    try:
        found = AuditService().list(
            wanted=_wanted(visit, filters),
            caller=visit.caller,
            after=after_of(visit),
            limit=PAGE_ROWS + 1,
        )
    except CarillonError as error:
        fault = said(error)
    rows, following = cut(found, lambda entry: entry.id + 1)
    context: dict[str, Any] = {
        "rows": [(entry, _links(filters, entry)) for entry in rows],
        "fault": fault,
        "filters": [(name, label, filters.get(name, "")) for name, label in _labels().items()],
        "given": filters,
        "removable": [
            (f"{_labels()[name]}: {text}", url_with(PATH, **{**filters, name: ""}), True)
            for name, text in filters.items()
        ],
        "links": page_links(visit, PATH, filters, next_after=following),
        "csv": url_with(f"{PATH}/export", **filters),
        "slices": url_with(
            PATH, action="slice", **{name: filters.get(name, "") for name in ("from", "to")}
        ),
    }
    status = 400 if fault else 200
    return page(visit, "records/audit.html", context, section="audit", status=status)


def export(visit: Visit) -> StreamingHttpResponse | HttpResponse:
    """Returns the entries of a query as CSV; a query that is refused leads back to the page."""
    filters = {name: text for name in _TEXTS if (text := visit.given(name))}
    try:
        parts = AuditService().export(
            wanted=_wanted(visit, filters), caller=visit.caller, form="csv"
        )
    except CarillonError:  # the page says why
        return HttpResponseRedirect(url_with(PATH, **filters))
    return StreamingHttpResponse(
        parts,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
    )


def entry(visit: Visit, number: int) -> HttpResponse:
    """Shows one entry: its values before and after, and its proof."""
    found = AuditService().get(identifier=str(number), caller=visit.caller)
    fault, proof = "", None
    try:
        proof = AuditService().proof(identifier=str(number), caller=visit.caller)
    except CarillonError as error:
        fault = said(error)
    context: dict[str, Any] = {
        "entry": found,
        "entry_links": _links({}, found),
        "changes": _changes(found.before, found.after),
        "proof": proof,
        "proof_text": _pretty(proof) if proof else "",
        "fault": fault,
        "has_receipt": found.target.startswith(_CONSENT) and proof is not None,
    }
    return page(visit, "records/audit_entry.html", context, section="audit")


def document(visit: Visit, number: int, form: str) -> HttpResponse:
    """Returns the proof of an entry, or the receipt of a consent, as a file of JSON."""
    if form == "proof":
        found: Any = AuditService().proof(identifier=str(number), caller=visit.caller)
    elif form == "receipt":
        target = AuditService().get(identifier=str(number), caller=visit.caller).target
        consent = target.removeprefix(_CONSENT)
        if consent == target:
            raise Http404
        found = ConsentService().receipt(identifier=consent, caller=visit.caller)
    else:
        raise Http404
    return HttpResponse(
        msgspec.json.encode(found),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{form}-{number}.json"'},
    )


def _labels() -> Mapping[str, str]:
    return {
        "actor": _("Actor, such as user:7"),
        "action": _("Action"),
        "target": _("Target"),
        "user": _("Number of the person"),
        "from": _("First day"),
        "to": _("Last day"),
    }


def _wanted(visit: Visit, filters: Mapping[str, str]) -> AuditFilter:
    """Returns the filter of the service.

    Raises:
        InvalidRequest: from or to is not a time.
    """
    user = filters.get("user", "")
    return audit_filter(
        actor=filters.get("actor", ""),
        action=filters.get("action", ""),
        target=filters.get("target", ""),
        user=(parse_key(user) or 0) if user else None,
        start=_moment(visit, filters.get("from", ""), timedelta()),
        end=_moment(visit, filters.get("to", ""), timedelta(days=1)),
    )


def _moment(visit: Visit, text: str, later: timedelta) -> str:
    """Returns the beginning of a day in the zone of the visitor; any other text as it is."""
    try:
        day = date.fromisoformat(text)
        return instant_of(datetime.combine(day + later, time()), visit.zone).isoformat()
    except (ValueError, OverflowError):  # the service says what a time is
        return text


def _links(filters: Mapping[str, str], entry: AuditEntryResponse) -> dict[str, str]:
    """Returns links to the entries with the same actor, action or target, and to what it names."""
    links = {
        name: url_with(PATH, **{**filters, name: getattr(entry, name)})
        for name in ("actor", "action", "target")
    }
    links["person"] = f"/console/people/{entry.user_id}" if entry.user_id else ""
    return links


def _changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> list[ChangedValue]:
    old, new = before or {}, after or {}
    return [
        ChangedValue(name, *(_text(each[name]) if name in each else "" for each in (old, new)))
        for name in dict.fromkeys([*old, *new])
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()
