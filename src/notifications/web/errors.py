"""What is answered when no view did: problems under /api/, a plain page elsewhere."""

from __future__ import annotations

import sys

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from notifications.api.errors import (
    BodyTooLarge,
    outage_of,
    problem_response,
    say_when_to_repeat,
    status_of,
    title_of,
)
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest, NotFound, Refused
from notifications.infra.conf import environment


class InternalError(CarillonError):
    """Something went wrong inside; it was logged under this answer's X-Request-ID."""

    code = "internal_error"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that Django itself could not read, e.g. of an unknown host."""
    if isinstance(exception, RequestDataTooBig):
        return error_response(BodyTooLarge(), request.path)
    error = InvalidRequest([FieldError("", "bad_request", "it cannot be read")])
    return error_response(error, request.path)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Something that this person may not see."""
    return error_response(Refused(), request.path)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """An address at which there is nothing."""
    error = NotFound(f"there is nothing at this address; see {_where(request)}")
    return error_response(error, request.path)


def server_error(request: HttpRequest) -> HttpResponse:
    """A database that is away, which is no fault of ours; else a fault. Django has logged it."""
    raised = sys.exc_info()[1]
    outage = outage_of(raised) if isinstance(raised, Exception) else None
    return error_response(outage or InternalError(), request.path)


def _where(request: HttpRequest) -> str:
    return "/api/docs/ for every call" if request.path.startswith("/api/") else "/ for what is here"


def error_response(error: CarillonError, path: str) -> HttpResponse:
    """The answer that tells of `error`: a problem for programs, a page for people."""
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
    say_when_to_repeat(response, error)
    return response
