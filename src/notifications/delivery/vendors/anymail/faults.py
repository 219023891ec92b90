"""The meaning of a mail service's response, as anymail reads it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import requests
from anymail.backends.base_requests import AnymailRequestsBackend
from anymail.exceptions import AnymailError
from django.core.mail import EmailMultiAlternatives
from requests.structures import CaseInsensitiveDict

from notifications.delivery.http_responses import accepted, refused, unclear
from notifications.infra.http.client import Response

_ACCEPTED = frozenset({"sent", "queued", "unknown"})


def outcome_of(
    backend: AnymailRequestsBackend,
    payload: Any,
    mail: EmailMultiAlternatives,
    response: Response,
    now: datetime,
) -> dict[str, Any]:
    """Returns the outcome of a mail, from the service's response."""
    for_anymail, is_good = _requests_response(response), 200 <= response.status < 300
    try:
        backend.raise_for_status(for_anymail, payload, mail)
    except AnymailError:
        return refused(response, now, **_meaning_of(response))
    try:
        status = _only(backend.parse_recipient_status(for_anymail, payload, mail))
    except (AnymailError, ValueError, KeyError, TypeError):
        if not is_good:
            return refused(response, now, **_meaning_of(response))
        return unclear(response, f"HTTP {response.status} without the service's own status")
    if not is_good and status.status in _ACCEPTED:
        return refused(response, now, **_meaning_of(response))
    if status.status in _ACCEPTED:
        return accepted(str(status.message_id or ""), response)
    return refused(
        response,
        now,
        error=f"the service says {status.status}",
        error_code=f"anymail_{status.status}",
        recipient_dead=status.status == "invalid",
    )


def _only(rows: Mapping[str, Any]) -> Any:
    """Returns the status of the only recipient.

    Anymail may have several rows. A service that returns the address in another spelling (punycode,
    capitals) leaves the row of the requested spelling unknown.

    Raises:
        ValueError: there is no row.
    """
    named = [row for row in rows.values() if row.message_id]
    known = named or [row for row in rows.values() if row.status != "unknown"] or [*rows.values()]
    if not known:
        raise ValueError("no recipient has a status")
    return known[0]


def _requests_response(response: Response) -> requests.Response:
    made = requests.Response()
    made.status_code = response.status
    made.headers = CaseInsensitiveDict(response.headers)
    made.raw = io.BytesIO(response.body)
    return made


def _meaning_of(response: Response) -> dict[str, Any]:
    if response.status in (401, 403):
        return {"error": f"HTTP {response.status}", "error_code": "auth", "retry": True}
    return {}
