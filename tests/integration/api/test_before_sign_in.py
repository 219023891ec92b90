"""Headers and tokens of any nonsense are a 401, and numbers on paths of any length a 404."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from django.conf import settings
from django.test import Client
from rest_framework.test import APIClient

from directory.models import User
from notifications.api.routes import ROUTES

pytestmark = [pytest.mark.django_db, pytest.mark.once]
PATH = "/api/v1/preferences"


def part(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def signed(claims: str) -> str:
    """A token of this service's own key, whatever its claims say."""
    head = f"{part(json.dumps({'alg': 'HS256', 'typ': 'JWT'}))}.{part(claims)}"
    digest = hmac.digest(settings.JWT_SECRET.encode(), head.encode(), hashlib.sha256)
    return f"{head}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "header",
    [
        "Token a\x00b",
        "Bearer a\x00b",
        "Bearer a.\x00.c",
        "Bearer ck_live_\x00_x",
        "Bearer ck_live_a_\x00",
        "Bearer \xe9",
        "Bearer ck_live_\xb2_x",
        "Token " + "x" * 5_000,
        "Bearer " + "." * 5_000,
        "Bearer ck_" + "_" * 5_000,
        "Basic Og==",
        "Bearer",
        "Bearer a b",
        " ",
        "\x1fToken \x1f",
    ],
)
def test_an_authorization_of_any_nonsense_is_a_401(client: Client, header: str) -> None:
    answer = client.get(PATH, headers={"Authorization": header})

    assert answer.status_code == 401, answer.content


TIMES = ("NaN", "Infinity", "-Infinity", "1e999", "true", '"9"', "null", "[]", "1" * 4_000)


@pytest.mark.parametrize("time", TIMES, ids=lambda text: text[:12])
@pytest.mark.parametrize("claim", ["exp", "nbf"])
def test_a_token_without_a_real_time_opens_nothing(
    client: Client, user: User, claim: str, time: str
) -> None:
    others = "" if claim == "exp" else '"exp": 99999999999, '
    for audience, call in (
        ("carillon", lambda t: client.get(PATH, headers={"Authorization": f"Bearer {t}"})),
        (
            "carillon:refresh",
            lambda t: client.post(
                "/api/v1/auth/refresh", {"refresh": t}, content_type="application/json"
            ),
        ),
    ):
        claims = f'{{"user_id": {user.pk}, "aud": "{audience}", {others}"{claim}": {time}}}'
        assert call(signed(claims)).status_code == 401, claims


@pytest.mark.parametrize(
    "name", ['"\\ud800"', '"ext:\\ud800"', '"ext:\\u0000"', "1e999", "NaN", "9" * 30, "[]", "{}"]
)
def test_a_token_that_names_no_one_storable_is_a_401(client: Client, name: str) -> None:
    claims = f'{{"user_id": {name}, "aud": "carillon", "exp": 99999999999}}'

    answer = client.get(PATH, headers={"Authorization": f"Bearer {signed(claims)}"})

    assert answer.status_code == 401, answer.content


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.parameters and not r.of_vendor], ids=lambda route: route.name
)
@pytest.mark.parametrize("number", ["9" * 5_000, "\N{SUPERSCRIPT TWO}"])
def test_a_number_of_any_length_on_a_path_is_nobodys(
    as_staff: APIClient, route: object, number: str
) -> None:
    path = route.path  # type: ignore[attr-defined]
    for name in route.parameters:  # type: ignore[attr-defined]
        path = path.replace(f"{{{name}}}", number)

    answer = as_staff.generic(
        route.method,
        path,
        "{}",
        content_type="application/json",  # type: ignore[attr-defined]
    )

    assert answer.status_code in (400, 403, 404), answer.content
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "url",
    [
        "https://xn--a/",
        "https://xn--/",
        "https://xn--0.com",
        "https://a..b/",
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 130 + "com/",
        "https://[::1",
        "https://[sns",
    ],
)
def test_a_host_that_is_none_is_a_400(as_staff: APIClient, url: str) -> None:
    answer = as_staff.post("/api/v1/webhooks", {"url": url, "name": "n"})

    assert (answer.status_code, answer.data["errors"][0]["path"]) == (400, "url")
