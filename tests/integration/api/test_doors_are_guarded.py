"""Walks the whole table: every route asks who is calling, and for the right scope."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from notifications.api.reach import PERSON_ROUTES
from notifications.api.route import Auth, Route
from notifications.api.routes import ROUTES
from notifications.models import SCOPES
from tests.integration.api.conftest import KeyClient

pytestmark = [pytest.mark.django_db, pytest.mark.once]
GUARDED = [route for route in ROUTES if route.auth is Auth.CALLER]
OF_PERSONS = [route for route in GUARDED if route.name in PERSON_ROUTES]
KEYED = [route for route in GUARDED if route.name not in PERSON_ROUTES]
VENDORS = {"callbacks": "bad_signature", "telegram": "wrong_secret"}
SIGNED = [route for route in ROUTES if route.tag in VENDORS and route.auth is Auth.PUBLIC]
OPEN = [route for route in ROUTES if route.auth is Auth.PUBLIC and route not in SIGNED]
SCOPED = [route for route in GUARDED if route.scope]


def call(client: APIClient, route: Route, body: str = "{}") -> Any:
    """The answer to a call of the route, with an empty object for a body."""
    path = route.path.replace("{id}", "1").replace("{job_id}", "1").replace("{provider}", "generic")
    return client.generic(route.method, path, body, content_type="application/json")


def status_of_call(client: APIClient, route: Route) -> int:
    """The status of such a call."""
    return int(call(client, route).status_code)


def by_name(routes: list[Route]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("route", routes, ids=lambda route: route.name)


@by_name(GUARDED)
def test_no_one_comes_in_without_a_token(route: Route, api: APIClient) -> None:
    assert status_of_call(api, route) == 401


@by_name(GUARDED)
def test_a_bad_token_opens_nothing(route: Route, api: APIClient) -> None:
    api.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

    assert status_of_call(api, route) == 401


@by_name(KEYED)
def test_a_key_without_the_scope_is_reported_which_one_it_needs(
    route: Route, with_key: KeyClient
) -> None:
    needed = route.scope or route.service_scope
    others = [scope for scope in SCOPES if scope != needed]

    response = call(with_key(*others), route)

    assert response.status_code == 403
    assert response.data["code"] == "missing_scope"
    assert response.data["scope"] == needed
    assert str(needed) in (response.data.get("detail") or response.data["error"])


@by_name(KEYED)
def test_a_key_with_the_scope_comes_in(route: Route, with_key: KeyClient) -> None:
    needed = route.scope or route.service_scope

    assert status_of_call(with_key(str(needed)), route) not in (401, 403)


@by_name(OF_PERSONS)
def test_no_key_has_an_inbox(route: Route, with_key: KeyClient) -> None:
    response = call(with_key("*"), route)
    assert (response.status_code, response.data["code"]) == (403, "person_required")


@by_name(KEYED)
def test_a_key_of_all_scopes_comes_in(route: Route, with_key: KeyClient) -> None:
    assert status_of_call(with_key("*"), route) not in (401, 403)


@by_name(SCOPED)
def test_a_person_who_is_no_staff_stays_out(route: Route, as_user: APIClient) -> None:
    assert status_of_call(as_user, route) == 403


@by_name(GUARDED)
def test_staff_come_in(route: Route, as_staff: APIClient) -> None:
    assert status_of_call(as_staff, route) not in (401, 403)


@by_name(OPEN)
def test_public_routes_ask_no_one(route: Route, api: APIClient) -> None:
    api.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

    # No worker is alive here, and the service's health says so, to anybody.
    is_nonsense = bool(route.body) or route.name == "unsubscribe"  # which wants a signed token
    expected = 503 if route.name == "health" else 400 if is_nonsense else 200
    assert status_of_call(api, route) == expected


@by_name(SIGNED)
def test_doors_of_vendors_open_to_their_signature_alone(route: Route, api: APIClient) -> None:
    response = call(api, route)

    assert (response.status_code, response.data["code"]) == (403, VENDORS[route.tag])


@by_name(GUARDED)
def test_guards_come_before_the_body_is_looked_at(route: Route, api: APIClient) -> None:
    assert call(api, route, "not json").status_code == 401
