"""The HTTP status of each error, and the response that reports it.

v1 returns RFC 9457 problems. `/api/admin/` and `/api/notifications/` return
{success: false, error, code}.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpResponse, UnreadablePostError

from notifications.api.response import JSON_TYPE, PROBLEM_TYPE, JsonResponse
from notifications.domain.error_codes import ERROR_CODES
from notifications.domain.errors import (
    LONGEST_PATH,
    CarillonError,
    Conflict,
    FieldError,
    InvalidRequest,
    NotFound,
    Refused,
    RenderingBusy,
    TemplateFault,
)
from notifications.features.access.authentication import Unauthenticated
from notifications.features.access.platform_keys import KeysUnreachable
from notifications.features.access.throttles import Throttled
from notifications.features.receipts.service import CallbackUnverifiable
from notifications.features.rooms.payloads import RoomDataTooLarge
from notifications.infra.database.commits import CommitUncertain
from notifications.infra.database.errors import is_unavailable
from notifications.infra.field_types import ErrorCode, choice

log = structlog.get_logger("carillon.api")

LEGACY_PREFIXES = ("/api/admin/", "/api/notifications/")
REALM = "carillon"
KEY_HEADER = "Idempotency-Key"
_STATUS_PATHS = {
    "notification_id": "/api/v1/notifications/{}/status",
    "job_id": "/api/v1/jobs/{}",
    "broadcast_id": "/api/admin/broadcasts/{}/",
    "schedule_id": "/api/v1/schedules/{}",
}
"""The path that shows whether an object was made, by the name of the object's id."""


class InvalidJson(CarillonError):
    """The body is not a JSON object."""

    code = "invalid_json"


class UnsupportedType(CarillonError):
    """The body must be JSON: send `Content-Type: application/json`."""

    code = "unsupported_media_type"


class BodyTooLarge(CarillonError):
    """The body is larger than this service reads: send several smaller requests."""

    code = "body_too_large"


class RequestTimeout(CarillonError):
    """The request did not arrive completely in time: send it again."""

    code = "request_timeout"


class HeadersTooLarge(CarillonError):
    """The path and headers are longer, or more, than this service reads: send fewer."""

    code = "headers_too_large"


class MethodNotAllowed(CarillonError):
    """This path does not support this method; see the Allow header."""

    code = "method_not_allowed"


class Unavailable(CarillonError):
    """The database does not respond: repeat the request in a moment."""

    code = "database_unavailable"


class InDoubt(CarillonError):
    """The database did not confirm whether this was stored: check before you repeat it."""

    code = "commit_in_doubt"


class Overloaded(CarillonError):
    """Too many requests wait for this process: nothing was stored, repeat it in a moment."""

    code = "overloaded"


class RestoreUnfinished(CarillonError):
    """The database is being restored: nothing was stored, repeat the request later."""

    code = "not_settled"


STATUS_OF: dict[type[CarillonError], int] = {
    InvalidRequest: 400,
    TemplateFault: 400,
    InvalidJson: 400,
    Unauthenticated: 401,
    Refused: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    RequestTimeout: 408,
    Conflict: 409,
    BodyTooLarge: 413,
    RoomDataTooLarge: 413,
    UnsupportedType: 415,
    HeadersTooLarge: 431,
    Throttled: 429,
    CallbackUnverifiable: 503,
    KeysUnreachable: 503,
    RenderingBusy: 503,
    Unavailable: 503,
    InDoubt: 503,
    Overloaded: 503,
    RestoreUnfinished: 503,
}
RETRY_AFTER_S = 1
_LONGEST_FIELD_DETAIL = 2_000
_LONGEST_DETAIL = 8_000
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
STATUS_OF_CODE = {"idempotency_mismatch": 422, "broadcast_status": 400}
"""Codes whose status is not that of their error's class."""
LEGACY_CODES = {"no_recipients": "NO_RECIPIENTS"}
"""Codes that `/api/admin/` and `/api/notifications/` spell differently."""


LegacyErrorCode = Annotated[
    str,
    choice(
        "LegacyErrorCode",
        (LEGACY_CODES.get(code, code) for code in ERROR_CODES),
        "The stable code of an error, as `/api/admin/` and `/api/notifications/` spell it.",
    ),
]


class FieldProblem(msgspec.Struct, kw_only=True):
    """One thing that is wrong with a request."""

    path: str
    """The field or parameter, with dots and brackets for parts. Example: `recipients[3].user_id`"""

    code: ErrorCode

    detail: str
    """What is wrong and how to correct it. Example: `is required`"""


class Problem(msgspec.Struct, kw_only=True):
    """An error, as RFC 9457 describes it. Further members depend on the code.

    `missing_scope` adds `scope`. `opted_out` adds `reasons` by channel, and the `decision_id` by
    which `explain` finds it.
    """

    type: str
    """The code as a URN. Example: `urn:carillon:error:required`"""

    title: str
    """The name of the HTTP status. Example: `Bad Request`"""

    status: int
    """The HTTP status. Example: `400`"""

    detail: str
    """What is wrong and how to correct it. Example: `template_path is required`"""

    code: ErrorCode

    instance: str
    """The path of the request. Example: `/api/v1/notifications/send`"""

    errors: list[FieldProblem]
    """Every field that is wrong; empty when the error is about no field."""


class LegacyProblem(msgspec.Struct, kw_only=True):
    """An error of `/api/admin/` and `/api/notifications/`. `missing_scope` adds `scope`."""

    success: bool
    """Always false. Example: `false`"""

    error: str
    """What is wrong and how to correct it. Example: `message is required`"""

    code: LegacyErrorCode


def title_of(status: int) -> str:
    """Returns the name of a status in RFC 9110, which newer Python versions use."""
    return TITLES.get(status) or HTTPStatus(status).phrase


def status_of(error: CarillonError) -> int:
    """Returns the HTTP status of a domain error."""
    if error.code in STATUS_OF_CODE:
        return STATUS_OF_CODE[error.code]
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)


def problem_body(error: CarillonError, *, path: str) -> dict[str, Any]:
    """Returns the JSON object that reports `error`, in the form of the path's API."""
    status = status_of(error)
    more = {name: value for name, value in error.data.items() if name != "retry_after"}
    detail = _shorten(error.detail, _LONGEST_DETAIL)
    if is_legacy(path):
        code = LEGACY_CODES.get(error.code, error.code)
        return {"success": False, "error": detail, "code": code, **more}
    errors: list[FieldError] = error.errors if isinstance(error, InvalidRequest) else []
    return {
        **more,
        "type": f"urn:carillon:error:{error.code}",
        "title": title_of(status),
        "status": status,
        "detail": detail,
        "code": error.code,
        "instance": _shorten(path, LONGEST_PATH),
        "errors": [
            {
                "path": _shorten(each.path, LONGEST_PATH),
                "code": each.code,
                "detail": _shorten(each.detail, _LONGEST_FIELD_DETAIL),
            }
            for each in errors
        ],
    }


def _shorten(text: str, most: int) -> str:
    """Shortens a text of a response: a caller's own text in it may be long."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def is_legacy(path: str) -> bool:
    """Returns whether the path belongs to the API with the older form of errors."""
    return path.startswith(LEGACY_PREFIXES)


def problem_response(error: CarillonError, *, path: str) -> HttpResponse:
    """Returns the response that reports `error`."""
    status = status_of(error)
    response = JsonResponse(
        msgspec.json.encode(problem_body(error, path=path), enc_hook=str),
        status,
        JSON_TYPE if is_legacy(path) else PROBLEM_TYPE,
    )
    response.error_code = error.code
    if status == 401:
        response["WWW-Authenticate"] = _challenge(error)
    add_retry_after(response, error)
    return response


def add_retry_after(response: HttpResponse, error: CarillonError) -> None:
    """Adds Retry-After when the error has one. Every 503 has one: the service may be back soon."""
    after = error.data.get("retry_after", RETRY_AFTER_S if status_of(error) == 503 else None)
    if after is not None:
        response["Retry-After"] = str(after)


def _challenge(error: CarillonError) -> str:
    """Returns the challenge. RFC 6750 section 3: no error attribute when no token was sent."""
    if error.code == Unauthenticated.code:
        return f'Bearer realm="{REALM}"'
    return f'Bearer realm="{REALM}", error="invalid_token"'


def handle_exception(exc: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """Django REST framework's EXCEPTION_HANDLER: returns a response, or None for an unknown error.

    With None Django logs it and responds through `notifications.web.errors.server_error`.
    """
    error = _as_error(exc, key=getattr(context.get("view"), "idempotency_key", None) or "")
    if error is None:
        return None
    return problem_response(error, path=context["request"].path)


def _as_error(exc: Exception, *, key: str) -> CarillonError | None:
    if isinstance(exc, CarillonError):
        return exc
    if isinstance(exc, Http404):
        return NotFound("there is nothing at this address")
    if isinstance(exc, PermissionDenied):
        return Refused()
    if isinstance(exc, RequestDataTooBig):
        return BodyTooLarge()
    if isinstance(exc, UnreadablePostError):
        return InvalidJson("the body ended before it was complete")
    return database_error_of(exc, key=key)


def database_error_of(exc: Exception, *, key: str = "") -> CarillonError | None:
    """Returns the error to report for an error of the database; None for a fault of our own.

    key: the Idempotency-Key that the caller sent, if the route takes one.
    """
    if not is_unavailable(exc):
        return None
    log.error("request.failed", reason="database", exc_info=exc)
    return commit_error(exc, key) if isinstance(exc, CommitUncertain) else Unavailable()


def commit_error(cause: CommitUncertain, key: str) -> InDoubt:
    """Returns the error with the way to find out whether the request was stored."""
    said = "the database did not confirm whether this was stored: "
    if key:
        text = f"repeat it with the same {KEY_HEADER}, {key}, which has its effect once"
        return InDoubt(said + text, idempotency_key=key)
    for kind, place in _STATUS_PATHS.items():
        name = cause.made.get(kind)
        if name:
            address = place.format(name)
            text = f"check GET {address} before you repeat it; 404 means that it was not"
            return InDoubt(said + text, **{kind: name}, status_url=address)
    return InDoubt()
