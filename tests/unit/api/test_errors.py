"""What an error means over HTTP, and the two forms in which it is reported."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from django.test import RequestFactory

from notifications.api.errors import handle_exception, problem_response, status_of
from notifications.domain.errors import (
    CarillonError,
    Conflict,
    FieldError,
    InvalidRequest,
    NotFound,
    Refused,
    TemplateFault,
)
from notifications.features.access.authentication import Unauthenticated
from notifications.features.access.platform_keys import KeysUnreachable

PATH = "/api/v1/notifications/send"


def reported(error: CarillonError, path: str = PATH) -> Any:
    return json.loads(problem_response(error, path=path).content)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest([FieldError("a", "required", "is required")]), 400),
        (TemplateFault("line 3"), 400),
        (Unauthenticated(), 401),
        (Refused(), 403),
        (NotFound(), 404),
        (Conflict(), 409),
        (Conflict(code="idempotency_in_progress"), 409),
        (Conflict(code="idempotency_mismatch"), 422),
        (KeysUnreachable(), 503),
        (CarillonError(), 500),
    ],
)
def test_each_error_has_its_status(error: CarillonError, status: int) -> None:
    assert status_of(error) == status
    assert problem_response(error, path=PATH).status_code == status


def test_a_problem_says_what_where_and_every_field() -> None:
    error = InvalidRequest(
        [
            FieldError("user_id", "required", "is required"),
            FieldError("channel", "invalid_channel", "must be one of email"),
        ]
    )
    response = problem_response(error, path=PATH)

    assert response["Content-Type"] == "application/problem+json"
    assert json.loads(response.content) == {
        "type": "urn:carillon:error:invalid_request",
        "title": "Bad Request",
        "status": 400,
        "detail": "user_id: is required; channel: must be one of email",
        "code": "invalid_request",
        "instance": PATH,
        "errors": [
            {"path": "user_id", "code": "required", "detail": "is required"},
            {"path": "channel", "code": "invalid_channel", "detail": "must be one of email"},
        ],
    }


def test_a_single_wrong_field_gives_the_problem_its_code() -> None:
    assert (
        reported(InvalidRequest([FieldError("a", "too_long", "is too long")]))["code"] == "too_long"
    )


def test_what_an_error_knows_stands_beside_it_and_cannot_replace_its_parts() -> None:
    problem = reported(Refused("no", code="missing_scope", scope="operations", status="x"))

    assert problem["scope"] == "operations"
    assert problem["status"] == 403


@pytest.mark.parametrize("prefix", ["/api/admin/broadcasts/", "/api/notifications/schedule/"])
def test_the_apis_of_the_source_documents_keep_their_form(prefix: str) -> None:
    response = problem_response(NotFound("Broadcast 9 not found", code="NOT_FOUND"), path=prefix)

    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"
    assert json.loads(response.content) == {
        "success": False,
        "error": "Broadcast 9 not found",
        "code": "NOT_FOUND",
    }


def test_a_missing_token_is_asked_for_and_a_bad_one_is_named() -> None:
    missing = problem_response(Unauthenticated(), path=PATH)
    bad = problem_response(Unauthenticated("x", code="expired_token"), path=PATH)

    assert missing["WWW-Authenticate"] == 'Bearer realm="carillon"'
    assert bad["WWW-Authenticate"] == 'Bearer realm="carillon", error="invalid_token"'


def test_retry_after_is_a_header() -> None:
    response = problem_response(Conflict("busy", retry_after=1), path=PATH)

    assert response["Retry-After"] == "1"
    assert "retry_after" not in json.loads(response.content)


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (Http404(), 404, "not_found"),
        (PermissionDenied(), 403, "refused"),
        (RequestDataTooBig(), 413, "body_too_large"),
        (UnreadablePostError(), 400, "invalid_json"),
        (
            OperationalError("no route to 10.0.0.1"),
            503,
            "database_unavailable",
        ),
        (InterfaceError("closed"), 503, "database_unavailable"),
    ],
)
def test_what_others_raise_is_reported_in_the_same_form(
    raised: Exception, status: int, code: str
) -> None:
    response = handle_exception(raised, {"request": RequestFactory().get(PATH)})

    assert response is not None
    assert (response.status_code, json.loads(response.content)["code"]) == (status, code)
    assert b"10.0.0.1" not in response.content


def test_what_no_one_foresaw_is_left_to_django() -> None:
    assert handle_exception(ZeroDivisionError(), {"request": RequestFactory().get(PATH)}) is None
