"""Logs refusals and sign-ins as `carillon.security`, at every CARILLON_LOG_LEVEL."""

from __future__ import annotations

import re
from typing import Any

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import LazyObject

from notifications.domain.redaction import LINK_PAGES
from notifications.infra.http.client_address import address_of

log = structlog.get_logger("carillon.security")
LINK_PATH = re.compile(rf"^(/(?:{'|'.join(LINK_PAGES)})/).+")
"""Paths that contain a credential, which logs must not show."""
REFUSALS = (401, 403, 429)


def note_refusal(request: HttpRequest, response: HttpResponseBase) -> None:
    """Logs a request without permission, or above a rate limit."""
    log.warning(
        "security.refused",
        status=response.status_code,
        code=getattr(response, "error_code", ""),
        method=request.method,
        path=LINK_PATH.sub(r"\1...", request.path),
        principal=_principal(request),
        client=_client(request),
    )


def note_login(sender: Any, request: HttpRequest | None = None, user: Any = None, **_: Any) -> None:
    """Logs a sign-in with a password on a page."""
    log.info("security.signed_in", principal=f"user:{user.pk}", client=_client(request))


def note_failed_login(sender: Any, request: HttpRequest | None = None, **_: Any) -> None:
    """Logs a failed sign-in. The name is omitted: people type passwords into its field."""
    log.warning("security.sign_in_failed", client=_client(request))


def _client(request: HttpRequest | None) -> str:
    return address_of(request) if request is not None else ""


def _principal(request: HttpRequest) -> str:
    """Returns the caller if it is already known: the log causes no query."""
    user = vars(request).get("user")
    if user is None or isinstance(user, LazyObject):
        return "anonymous"
    caller = getattr(user, "caller", None)
    if caller is not None:
        return str(caller.name)
    return f"user:{user.pk}" if user.pk else "anonymous"
