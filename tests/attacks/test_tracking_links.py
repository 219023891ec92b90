"""Tracking links are no open redirect: each leads to one URL that was in one mail."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from django.test import Client

from notifications.features.tracking.service import COLLECTOR
from notifications.infra.tracking.links import MAX_URL, LinkSigner

pytestmark = pytest.mark.django_db
URL = "https://shop.example/item?a=1&b=2"
EVIL = (
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "https:\\\\evil.example",
    "https://shop.example\\@evil.example/",
    "https://shop.example@evil.example/",
    "https://shop.example%40evil.example/",
    "https://shop.example%2f@evil.example/",
    "https://shop.example\x00.evil.example/",
    "https://shop.example\r\nSet-Cookie: a=b",
    "https://shop.example/\r\nLocation: https://evil.example",
    "https://shop.example/%0d%0aSet-Cookie:a=b\n",
    "https://evil.example?https://shop.example/item?a=1&b=2",
    "https://shop.example/item?a=1&b=2&c=3",
    "https://shop.example/item?a=1",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "https://shop.example/\u202eitem",
    "https%3A%2F%2Fshop.example%2Fitem%3Fa%3D1%26b%3D2",
    quote(quote(URL)),
    "https://ⓔvil.example/",
    "https://shop.example/" + "x" * MAX_URL,
    "https://shop.example/item?a=1&b=2 ",
    " https://shop.example/item?a=1&b=2",
    "HTTPS://shop.example/item?a=1&b=2",
    "",
)


@pytest.fixture
def visitor() -> Client:
    return Client()


def query_of(message_id: int = 7, place: int = 2, url: str = URL) -> dict[str, str]:
    link = LinkSigner(message_id, "https://links.example").click(place, url)
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


def clicked(visitor: Client, query: dict[str, str], **more: Any) -> Any:
    return visitor.get(f"/api/v1/track/click?{urlencode(query)}", **more)


def test_the_link_itself_leads_to_its_url(visitor: Client) -> None:
    response = clicked(visitor, query_of())
    assert (response.status_code, response["Location"]) == (302, URL)
    with_more = clicked(visitor, {**query_of(), "fbclid": "x", "utm_source": "y"})
    assert with_more["Location"] == URL


@pytest.mark.parametrize("url", EVIL)
def test_no_other_url_is_led_to(visitor: Client, url: str) -> None:
    response = clicked(visitor, {**query_of(), "url": url})
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert "Set-Cookie" not in response.headers
    assert "evil.example" not in response.content.decode()


@pytest.mark.parametrize(
    "change",
    [
        {"m": "8.2"},
        {"m": "07.2"},
        {"m": "-7.2"},
        {"m": "7 .2"},
        {"m": "7.2" * 400},
        {"m": "\u0667.2"},
        {"m": "7.3"},
        {"m": "7.02"},
        {"m": "7."},
        {"m": "7.-1"},
        {"m": "7.99999"},
        {"s": ""},
        {"s": "0" * 24},
        {"s": "0" * 23 + "é"},
        {"s": "0" * 100_0},
    ],
)
def test_a_changed_link_is_refused(visitor: Client, change: dict[str, str]) -> None:
    assert clicked(visitor, {**query_of(), **change}).status_code == 400


def test_each_part_is_needed_and_counts_once(visitor: Client) -> None:
    for name in ("m", "s", "url"):
        query = query_of()
        del query[name]
        assert clicked(visitor, query).status_code == 400
    twice = urlencode([*query_of().items(), ("url", "https://evil.example/")])
    assert visitor.get(f"/api/v1/track/click?{twice}").status_code == 400
    assert visitor.get("/api/v1/track/click?%ff=%ff&url=%ff").status_code == 400


def test_the_tag_of_one_message_is_none_of_another(visitor: Client) -> None:
    assert clicked(visitor, {**query_of(8), "m": "7.2"}).status_code == 400


def test_a_forged_pixel_is_a_picture_that_is_not_counted(visitor: Client) -> None:
    pixel = urlsplit(LinkSigner(7, "https://links.example").pixel()).path
    genuine = pixel.rpartition("/")[2]
    forged = (
        "7." + "0" * 24,
        "8" + genuine[1:],
        genuine + "0",
        "7",
        ".",
        "x" * 5_000,
        "7.é",
        "%00",
    )
    for token in (*forged, "01890000-0000-7000-8000-000000000007"):
        response = visitor.get(f"/api/v1/track/open/{quote(token)}")
        assert (response.status_code, response["Content-Type"]) == (200, "image/gif"), token
    assert not COLLECTOR._waiting
    visitor.get(pixel)
    assert len(COLLECTOR._waiting) == 1


def test_links_outlive_a_change_of_the_secret(visitor: Client, settings: Any) -> None:
    query = query_of()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    assert clicked(visitor, query).status_code == 302
    settings.SECRET_KEY_FALLBACKS = []
    assert clicked(visitor, query).status_code == 400


def test_no_method_but_get_and_head_is_answered(visitor: Client) -> None:
    query = urlencode(query_of())
    assert visitor.post(f"/api/v1/track/click?{query}").status_code == 405
    assert visitor.head(f"/api/v1/track/click?{query}").status_code == 302


def test_a_letter_that_no_header_carries_is_encoded(visitor: Client) -> None:
    response = clicked(visitor, query_of(url="https://shop.example/é?ü=ж"))
    assert response["Location"] == "https://shop.example/%C3%A9?%C3%BC=%D0%B6"


def test_no_cookie_is_set_and_no_referrer_is_sent(visitor: Client) -> None:
    response = clicked(visitor, query_of(), headers={"cookie": f"sessionid={'x' * 32}"})
    assert not response.cookies
    assert response["Referrer-Policy"] == "no-referrer"
