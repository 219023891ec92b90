"""Pages of other origins may use the inbox's own routes, where a setting names them.

The token of the person opens these routes, and no cookie does: the responses never allow
credentials, so a browser sends none. An origin is compared as a whole, and never with a pattern.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from notifications.infra.conf import environment

_TREE = "/api/v1/inbox"
_PREFERENCES = ("/api/v1/preferences", "/api/v1/categories")
"""The component shows them in a tab of its own."""
_METHODS = "GET, POST, PUT"
_HEADERS = "authorization, content-type, idempotency-key, last-event-id"
_EXPOSED = "Retry-After, X-Request-ID"
_PREFLIGHT_S = 600


def is_shared(path: str) -> bool:
    """Whether pages of other origins may be allowed to use a path: the inbox's own routes alone."""
    return path == _TREE or path in _PREFERENCES or path.startswith(f"{_TREE}/")


def is_allowed(origin: str) -> bool:
    """Whether the setting names an origin, exactly as a browser spells it."""
    return bool(origin) and origin in environment().inbox_origins


def preflight(request: HttpRequest) -> HttpResponse | None:
    """Answers what a browser asks before a call from another origin; None for other requests."""
    if request.method != "OPTIONS" or not is_shared(request.path_info):
        return None
    if "Access-Control-Request-Method" not in request.headers:
        return None
    if not is_allowed(request.headers.get("Origin", "")):
        return None
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = _METHODS
    response["Access-Control-Allow-Headers"] = _HEADERS
    response["Access-Control-Max-Age"] = str(_PREFLIGHT_S)
    return response


def allow(response: HttpResponseBase, path: str, origin: str) -> None:
    """Lets a page of an allowed origin read a response to one of the inbox's routes."""
    if not is_shared(path) or not environment().inbox_origins:
        return
    patch_vary_headers(response, ["Origin"])
    if is_allowed(origin):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = _EXPOSED
