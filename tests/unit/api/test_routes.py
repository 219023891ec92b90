"""The route table: what holds for every route."""

from __future__ import annotations

import pytest

from notifications.api.reach import PERSON_ROUTES
from notifications.api.route import Auth, Route
from notifications.api.routes import ROUTES
from notifications.api.urls import pattern_of
from notifications.api.views import paths_of
from notifications.models import SCOPES

PUBLIC = {
    "log_in",
    "refresh_token",
    "take_callback",
    "unsubscribe",  # the link's signature is its token (RFC 8058)
    "vapid_key",
    "telegram_update",  # its secret header is its token
    "live",
    "ready",
    "health",
}
every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)


def test_names_and_calls_are_unique() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_the_public_routes_are_these_and_no_others() -> None:
    assert {route.name for route in ROUTES if route.auth is Auth.PUBLIC} == PUBLIC


@every_route
def test_a_route_is_spelled_as_the_others_are(route: Route) -> None:
    assert route.path.startswith("/")
    assert not route.path.endswith("/")
    assert len(route.path) <= 100  # the column of idempotency keys
    assert route.summary.endswith(".")


@every_route
def test_a_route_that_is_not_public_asks_for_a_person_or_a_known_scope(route: Route) -> None:
    assert route.for_persons is (route.name in PERSON_ROUTES)
    if route.for_persons:
        assert (route.scope, route.service_scope) == (None, None), "it is its person's alone"
    elif route.auth is Auth.CALLER:
        assert (route.scope or route.service_scope) in SCOPES


LOOKING = ("count_", "preview_", "simulate_", "validate_")
"""What POSTs that only answer begin with: a stored answer would be an old one."""


@every_route
def test_a_route_that_makes_something_takes_an_idempotency_key(route: Route) -> None:
    if route.method == "POST" and route.auth is Auth.CALLER:
        assert route.idempotent is not route.name.startswith(LOOKING)


@every_route
def test_what_can_go_wrong_is_listed(route: Route) -> None:
    assert {500, 503} - set(route.responses) <= set(route.all_errors)
    if route.body:
        assert {400, 413, 415} <= set(route.all_errors)
    if route.auth is Auth.CALLER:
        assert {401, 403} <= set(route.all_errors)


def test_patterns_name_their_parameters() -> None:
    assert pattern_of("/api/v1/jobs/{job_id}") == "api/v1/jobs/<str:job_id>"


def test_methods_of_one_path_share_a_view() -> None:
    assert [route.method for route in paths_of(ROUTES)["/api/v1/kill-switch"]] == [
        "GET",
        "POST",
        "DELETE",
    ]
