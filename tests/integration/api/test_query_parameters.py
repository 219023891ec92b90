"""Query parameters at every door: unknown, doubled and empty ones are a 400 that names them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.api.route import Route
from notifications.api.routes import ROUTES
from notifications.broadcast_views import BroadcastViewSet
from notifications.models import KillSwitch
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.once]
OWN = [route for route in ROUTES if not route.of_vendor]
POLLING = [route for route in OWN if route.query]


def call(client: APIClient, route: Route, query: str) -> Any:
    path = route.path
    for name in route.parameters:
        path = path.replace(f"{{{name}}}", "1")
    return client.generic(route.method, f"{path}?{query}", b"{}", content_type="application/json")


@pytest.mark.parametrize("route", OWN, ids=lambda route: route.name)
def test_an_unknown_one_is_refused_at_every_door(route: Route, as_staff: APIClient) -> None:
    answer = call(as_staff, route, "no_such_thing=1")

    reported = json.loads(answer.content)
    needed = any(query.required for query in route.query)
    code = "invalid_request" if needed else "unknown_parameter"
    assert (answer.status_code, reported["code"]) == (400, code), reported
    assert "no_such_thing" in (reported.get("detail") or reported["error"])


@pytest.mark.parametrize("route", POLLING, ids=lambda route: route.name)
def test_an_empty_and_a_doubled_one_are_refused(route: Route, as_staff: APIClient) -> None:
    needed = {query.name: "all" for query in route.query if query.required}
    for query in route.query:
        others = "".join(f"&{name}={v}" for name, v in needed.items() if name != query.name)
        for given, code in (
            (f"{query.name}=", "invalid"),
            (f"{query.name}=1&{query.name}=2", "repeated_parameter"),
        ):
            answer = call(as_staff, route, given + others)
            reported = json.loads(answer.content)
            assert (answer.status_code, reported["code"]) == (400, code), (given, reported)


def test_a_filter_that_is_not_there_shows_no_one(as_staff: APIClient) -> None:
    make_user()

    assert as_staff.get("/api/v1/users?extern_id=p-1").status_code == 400


def test_people_are_found_by_their_external_id(as_staff: APIClient) -> None:
    wanted = make_user()
    User.objects.filter(pk=wanted.pk).update(external_id="p-1")

    found = as_staff.get("/api/v1/users?external_id=p-1").data["results"]

    assert [each["id"] for each in found] == [wanted.pk]


def test_lifting_without_a_scope_lifts_nothing(as_staff: APIClient) -> None:
    as_staff.post("/api/v1/kill-switch", {"scope": "all", "reason": "a test"})

    refused = as_staff.delete("/api/v1/kill-switch")

    assert (refused.status_code, refused.data["errors"][0]["path"]) == (400, "scope")
    assert KillSwitch.objects.exists()
    assert as_staff.delete("/api/v1/kill-switch?scope=all").status_code == 204


def test_a_projects_own_view_of_broadcasts_refuses_them(staff: User) -> None:
    client = APIClient()
    client.force_authenticate(staff)
    request = client.get("/x/").wsgi_request
    request.META["QUERY_STRING"] = "no_such_thing=1"
    request.user = staff

    answer = BroadcastViewSet.as_view({"get": "list"})(request)

    assert (answer.status_code, answer.data["code"]) == (400, "unknown_parameter")


@pytest.mark.parametrize("path", ["/api/schema", "/api/docs"])
def test_the_documents_own_pages_refuse_them(path: str, client: APIClient) -> None:
    assert client.get(f"{path}?no_such_thing=1").status_code == 400
