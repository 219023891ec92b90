"""Builds the response to a request that got no thread, or no result in time.

The response is made on the event loop, because no thread is free: it uses no database and no view.
"""

from __future__ import annotations

import msgspec
import structlog
from django.http import HttpResponse

from carillon.serving.bridge import HEALTH_PATHS, Response, Scope, encode_headers
from carillon.serving.middleware import REQUEST_ID, harden, request_id_of
from carillon.serving.security_log import LINK_PATH
from notifications.api.errors import Overloaded, Unavailable
from notifications.api.response import JsonResponse
from notifications.features.operations.health import checks_timed_out
from notifications.infra import clock
from notifications.web.errors import error_response

log = structlog.get_logger("carillon.web")


def refuse(scope: Scope, begun: bool) -> Response:
    """Returns 503 in the form of the path: a problem, a page, or a health check's response."""
    path = scope["path"]
    given = dict(scope["headers"]).get(REQUEST_ID.lower().encode(), b"")
    response = _response(path, begun)
    response[REQUEST_ID] = request_id_of(given.decode("latin-1"))
    harden(response, path)
    log.info(
        "request.refused",
        method=scope["method"],
        path=LINK_PATH.sub(r"\1...", path),
        status=response.status_code,
        request_id=response[REQUEST_ID],
        reason="no response in time" if begun else "overloaded",
    )
    return (
        response.status_code,
        encode_headers(response.items(), response.content),
        response.content,
    )


def _response(path: str, begun: bool) -> HttpResponse:
    if path.rstrip("/") in HEALTH_PATHS:
        return JsonResponse(msgspec.json.encode(checks_timed_out(now=clock.now())), 503)
    return error_response(Unavailable() if begun else Overloaded(), path)
