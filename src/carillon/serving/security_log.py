"""Logs refusals and sign-ins as `carillon.security`, at every CARILLON_LOG_LEVEL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import LazyObject, empty

from notifications.domain.redaction import LINK_PAGES, PIXEL_PATH
from notifications.infra.conf import environment
from notifications.infra.http.client_address import address_of, client_address

log = structlog.get_logger("carillon.security")
LINK_PATH = re.compile(rf"^(/(?:{'|'.join((*LINK_PAGES, PIXEL_PATH))})/).+")
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


def note_refused_connection(scope: Mapping[str, Any], status: int, code: str) -> None:
    """Logs a socket or a stream that was refused.

    Args:
        scope: of ASGI. status: the HTTP status, or the close code of a websocket.
    """
    given = dict(scope.get("headers", ()))
    forwarded = given.get(b"x-forwarded-for", b"").decode("latin-1")
    remote = str((scope.get("client") or ("",))[0])
    log.warning(
        "security.refused",
        status=status,
        code=code,
        method=scope.get("method", "GET"),
        path=scope["path"],
        principal="anonymous",
        client=client_address(remote, forwarded, environment().trusted_proxies),
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
    if isinstance(user, LazyObject):  # the person of a session, once a page has read them
        user = user._wrapped
    if user is None or user is empty:
        return "anonymous"
    caller = getattr(user, "caller", None)
    if caller is not None:
        return str(caller.name)
    return f"user:{user.pk}" if user.pk else "anonymous"
