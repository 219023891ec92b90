"""Answers stay small whatever is sent, and what needs no sign-in takes short bodies only."""

from __future__ import annotations

import json

import pytest
from rest_framework.test import APIClient

from carillon.serving.body_limits import PUBLIC_BODY_BYTES, body_limit
from notifications.api.route import Auth, Route
from notifications.api.routes import ROUTES
from notifications.domain.errors import MOST_ERRORS
from notifications.features.templates.schemas import TemplateChangeBody
from notifications.infra.conf import environment
from notifications.models import NotificationTemplate

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("template")]
WRITING = [r for r in ROUTES if r.body is not None and not r.reads_body and r.auth is Auth.CALLER]
LARGEST_ANSWER = 50_000
KEYS = {f"key {n}": n for n in range(1_000)}


def fill(client: APIClient, route: Route, body: object) -> bytes:
    path = route.path
    row = NotificationTemplate.objects.get().pk if "/templates/" in path else 1
    for name in route.parameters:
        path = path.replace(f"{{{name}}}", str(row))
    answer = client.generic(route.method, path, json.dumps(body), content_type="application/json")
    busy = b"rendering_busy" in answer.content  # so many drafts of one author at once
    assert busy or answer.status_code in (200, 201, 400, 403, 404, 409), (
        route.name,
        answer.content,
    )
    stored = answer.status_code < 300 and route.body is TemplateChangeBody
    return b"{}" if stored else bytes(answer.content)  # what was stored is shown whole


@pytest.mark.parametrize("route", WRITING, ids=lambda route: route.name)
def test_unknown_keys_are_reported_fifty_at_most(route: Route, as_staff: APIClient) -> None:
    reported = fill(as_staff, route, KEYS)

    assert len(reported) < LARGEST_ANSWER
    errors = json.loads(reported).get("errors", [])
    assert len(errors) <= MOST_ERRORS
    assert sum("known: " in each["detail"] for each in errors) <= 1


@pytest.mark.parametrize("route", WRITING, ids=lambda route: route.name)
def test_neither_many_wrong_values_nor_long_ones_make_a_long_answer(
    route: Route, as_staff: APIClient
) -> None:
    assert route.body is not None
    for name in route.body.__struct_fields__:
        for value in ({"a": KEYS}, {"x" * 60_000: 1}):
            assert len(fill(as_staff, route, {name: value})) < LARGEST_ANSWER, (
                name,
                str(value)[:9],
            )


@pytest.mark.parametrize(
    "path",
    [route.path.replace("{id}", "1") for route in ROUTES if route.auth is Auth.PUBLIC]
    + [
        "/unsubscribe/x",
        "/preferences/x",
        "/confirm/x",
        "/admin/login/",
        "/account/login",
        "/nowhere",
        "/",
    ],
)
def test_what_needs_no_sign_in_takes_16_kb_but_from_vendors(path: str, client: APIClient) -> None:
    vendors = "/callbacks/" in path or "/telegram/" in path
    assert body_limit(path) == (environment().max_body_bytes if vendors else PUBLIC_BODY_BYTES)

    answer = client.post(path, b"x" * (PUBLIC_BODY_BYTES + 1), content_type="application/json")

    assert (answer.status_code == 413) is not vendors


@pytest.mark.parametrize(
    "path",
    [
        "/sms/twilio",
        "/inbound/twilio",
        "/api/v1/notifications/send",
        "/admin/x/",
        "/console/people",
        "/console/people/7/test",
    ],
)
def test_other_doors_take_what_the_setting_says(path: str) -> None:
    assert body_limit(path) == environment().max_body_bytes
