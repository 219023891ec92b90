"""Error responses outside views: problem documents under /api/, plain pages elsewhere."""

from __future__ import annotations

import sys

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from notifications.api.errors import (
    BodyTooLarge,
    add_retry_after,
    database_error_of,
    problem_response,
    status_of,
    title_of,
)
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest, NotFound, Refused
from notifications.infra.conf import environment


class InternalError(CarillonError):
    """An internal error occurred; it was logged with the X-Request-ID of this response."""

    code = "internal_error"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handles a request that Django itself refused, e.g. for an unknown host."""
    if isinstance(exception, RequestDataTooBig):
        return error_response(BodyTooLarge(), request.path)
    error = InvalidRequest([FieldError("", "bad_request", "it cannot be read")])
    return error_response(error, request.path)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handles a request that the user may not make."""
    return error_response(Refused(), request.path)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handles an unknown address."""
    error = NotFound(f"there is no page at this address; see {_hint(request)}")
    return error_response(error, request.path)


def server_error(request: HttpRequest) -> HttpResponse:
    """Handles an exception: the database is unavailable, or an internal error. Django logged it."""
    raised = sys.exc_info()[1]
    outage = database_error_of(raised) if isinstance(raised, Exception) else None
    return error_response(outage or InternalError(), request.path)


def _hint(request: HttpRequest) -> str:
    return "/api/docs/ for all routes" if request.path.startswith("/api/") else "the start page /"


def error_response(error: CarillonError, path: str) -> HttpResponse:
    """Returns the response for `error`: a problem document under /api/, else a page."""
    if path.startswith("/api/"):
        return problem_response(error, path=path)
    status = status_of(error)
    context = {
        "status": status,
        "title": title_of(status),
        "detail": error.detail,
        "production": environment().production,
    }
    response = HttpResponse(render_to_string("carillon/error.html", context), status=status)
    response["Cache-Control"] = "no-store"
    add_retry_after(response, error)
    return response
