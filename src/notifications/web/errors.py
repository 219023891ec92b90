"""What is answered when no view did: problems under /api/, a plain page elsewhere."""

from __future__ import annotations

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from notifications.api.errors import BodyTooLarge, problem_response, status_of, title_of
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest, NotFound, Refused


class Broken(CarillonError):
    """Something went wrong inside; it was logged under this answer's X-Request-ID."""

    code = "internal_error"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that Django itself could not read, e.g. of an unknown host."""
    if isinstance(exception, RequestDataTooBig):
        return _answer(request, BodyTooLarge())
    return _answer(request, InvalidRequest([FieldError("", "bad_request", "it cannot be read")]))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Something that this person may not see."""
    return _answer(request, Refused())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """An address at which there is nothing."""
    return _answer(request, NotFound(f"there is nothing at this address; see {_where(request)}"))


def server_error(request: HttpRequest) -> HttpResponse:
    """A fault of ours; Django has logged it."""
    return _answer(request, Broken())


def _where(request: HttpRequest) -> str:
    return "/api/docs/ for every call" if request.path.startswith("/api/") else "/ for what is here"


def _answer(request: HttpRequest, error: CarillonError) -> HttpResponse:
    if request.path.startswith("/api/"):
        return problem_response(error, path=request.path)
    status = status_of(error)
    context = {"status": status, "title": title_of(status), "detail": error.detail}
    return HttpResponse(render_to_string("carillon/error.html", context), status=status)
