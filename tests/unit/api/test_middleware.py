"""The middleware that every request passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from carillon.serving.middleware import RequestMiddleware
from notifications.infra.conf import environment


def passed(request: HttpRequest, seen: dict[str, Any] | None = None) -> Any:
    """Returns the response after the middleware; `seen` gets what the view received."""

    def view(inner: HttpRequest) -> HttpResponse:
        if seen is not None:
            seen["path"] = inner.path_info
            seen["bound"] = structlog.contextvars.get_contextvars()
        return HttpResponse("ok")

    return RequestMiddleware(view)(request)


@pytest.mark.parametrize(
    ("asked", "seen_as"),
    [
        ("/", "/"),
        ("/health", "/health"),
        ("/health/", "/health"),
        ("/api/v1/jobs/7/", "/api/v1/jobs/7"),
        ("/admin", "/admin/"),
        ("/admin/login/", "/admin/login/"),
        ("/static/x/", "/static/x/"),
    ],
)
def test_a_slash_at_the_end_is_optional(asked: str, seen_as: str) -> None:
    seen: dict[str, Any] = {}

    response = passed(RequestFactory().get(asked), seen)

    assert response.status_code == 200
    assert seen["path"] == seen_as


def test_a_valid_request_id_is_used_and_bound_to_the_log() -> None:
    seen: dict[str, Any] = {}

    response = passed(RequestFactory().get("/", headers={"X-Request-ID": "order-7.a:b"}), seen)

    assert response["X-Request-ID"] == "order-7.a:b"
    assert seen["bound"] == {"request_id": "order-7.a:b"}
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<script>", "a\u00e9", "-x"])
def test_another_request_id_is_replaced(given: str) -> None:
    response = passed(RequestFactory().get("/", headers={"X-Request-ID": given}))

    assert response["X-Request-ID"] != given
    assert len(response["X-Request-ID"]) == 32


def test_a_body_that_is_announced_as_too_large_is_not_read() -> None:
    request = RequestFactory().post("/api/v1/notifications/send", b"{}", "application/json")
    request.META["CONTENT_LENGTH"] = str(environment().max_body_bytes + 1)

    response = passed(request)

    assert response.status_code == 413
    problem = json.loads(response.content)
    assert problem["code"] == "body_too_large"
    assert f"{environment().max_body_bytes:,} bytes" in problem["detail"]
    assert response["X-Request-ID"]


@pytest.mark.parametrize("claimed", ["", "-5", "many", "٣"])
def test_an_invalid_length_is_left_to_the_server(claimed: str) -> None:
    request = RequestFactory().get("/")
    request.META["CONTENT_LENGTH"] = claimed

    assert passed(request).status_code == 200


def test_every_response_has_a_strict_policy() -> None:
    response = passed(RequestFactory().get("/"))

    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "object-src 'none'" in policy
    assert "unsafe" not in policy
    assert "camera=()" in response["Permissions-Policy"]


def test_a_view_may_set_a_policy_of_its_own() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("ok", headers={"Content-Security-Policy": "sandbox"})

    response = RequestMiddleware(view)(RequestFactory().get("/"))

    assert response["Content-Security-Policy"] == "sandbox"
