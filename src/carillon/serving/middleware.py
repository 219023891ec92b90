"""Middleware of every request: its id, size limit, path normalization and response headers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from carillon.serving import cors
from carillon.serving.body_limits import body_limit
from carillon.serving.security_log import LINK_PATH, REFUSALS, note_refusal
from carillon.serving.settled import may_serve
from carillon.settings.headers import add_missing
from notifications.api.errors import BodyTooLarge, RestoreUnfinished, problem_response
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database import commits
from notifications.infra.http.client_address import address_of
from notifications.infra.http.request_origin import request_from
from notifications.web.errors import error_response
from notifications.web.landing import security_txt
from vault.store import scope as key_scope

log = structlog.get_logger("carillon.web")

REQUEST_ID = "X-Request-ID"
SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
EXACT_PREFIXES = ("/admin/", "/static/")  # trailing slashes are significant there
SECURITY_TXT = "/.well-known/security.txt"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing (RFC 9110 section 9.2.1), so clients do not depend on a commit."""
_RESTORED_S = 10
"""After so many seconds a client may ask again whether a restore has finished."""


class RequestMiddleware:
    """Adds a correlation id, an optional trailing slash, the body limit and security headers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = request_id_of(request.headers.get(REQUEST_ID, ""))
        began = clock.monotonic()
        with structlog.contextvars.bound_contextvars(request_id=request_id), key_scope():
            response = self._respond(request)
            if response.status_code in REFUSALS:
                note_refusal(request, response)
            if response.status_code >= 400:
                log.info(
                    "request.refused",
                    method=request.method,
                    path=LINK_PATH.sub(r"\1...", request.path),
                    status=response.status_code,
                    ms=round((clock.monotonic() - began) * 1000, 1),
                )
        response[REQUEST_ID] = request_id
        harden(response, request.path_info)
        cors.allow(response, request.path_info, request.headers.get("Origin", ""))
        return response

    def _respond(self, request: HttpRequest) -> HttpResponseBase:
        limit = body_limit(request.path_info)
        if content_length(request) > limit:
            return _too_large(request, limit)
        request.path_info = without_slash(request.path_info)
        if not may_serve(request.path_info):
            return error_response(RestoreUnfinished(retry_after=_RESTORED_S), request.path)
        asked = cors.preflight(request)
        if asked is not None:
            return asked
        if request.path_info == SECURITY_TXT:  # it names no route: it is about the host
            return security_txt(request)
        if request.method in SAFE_METHODS:
            return self.get_response(request)
        agent = request.headers.get("User-Agent", "")
        with commits.verified(), request_from(ip=address_of(request), user_agent=agent):
            return self.get_response(request)


def request_id_of(given: str) -> str:
    """Returns the client's request id if it is well formed; else a new one."""
    return given if SANE_ID.fullmatch(given) else secrets.token_hex(16)


def content_length(request: HttpRequest) -> int:
    """Returns the content length that the client claims; 0 if it is missing or invalid."""
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isascii() and text.isdigit() else 0


def without_slash(path: str) -> str:
    """Returns the path in the form that the URL patterns use, without a trailing slash."""
    if path == "/admin":
        return "/admin/"
    if path == "/" or not path.endswith("/") or path.startswith(EXACT_PREFIXES):
        return path
    return path[:-1]


def _too_large(request: HttpRequest, limit: int) -> HttpResponse:
    error = BodyTooLarge(
        f"the body is larger than the limit of {limit:,} bytes: send several smaller requests"
    )
    return problem_response(error, path=request.path)


def harden(response: HttpResponseBase, path: str) -> None:
    """Adds the security headers that a view has not set itself."""
    # production is served only by https
    add_missing(response.headers, path, https_only=environment().production)
