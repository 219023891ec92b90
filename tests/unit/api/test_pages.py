"""Cursor pages: forwards, back, and what was not made here."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import RequestFactory

from notifications.api.pages import MAX_TRAIL, Page, links, page_of
from notifications.api.route import ApiRequest
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.infra import clock


def request_for(address: str, *, limit: int = 2) -> ApiRequest:
    http = RequestFactory().get(address)
    query: dict[str, Any] = {"cursor": http.GET.get("cursor", ""), "limit": limit}
    return ApiRequest(caller=SYSTEM, now=clock.now(), params={}, query=query, body={}, http=http)


def walk(address: str, keys: list[int]) -> tuple[list[int], str | None, str | None]:
    """The keys of the page at `address`, and the links to its neighbours."""
    request = request_for(address)
    page = page_of(request)
    found = [key for key in keys if key > page.after][: page.fetch]
    return found[: page.limit], *links(request, page, found)


def test_pages_are_walked_forwards_and_back() -> None:
    keys = [3, 5, 8, 13, 21]
    seen, following, previous = walk("/list?channel=email", keys)
    assert (seen, previous) == ([3, 5], None)
    assert following is not None

    seen, following, previous = walk(following, keys)
    assert seen == [8, 13]
    assert following is not None
    assert previous is not None
    assert walk(previous, keys)[0] == [3, 5]

    seen, last, previous = walk(following, keys)
    assert (seen, last) == ([21], None)
    assert previous is not None
    assert walk(previous, keys)[0] == [8, 13]


def test_filters_stay_in_the_links() -> None:
    _, following, _ = walk("/list?channel=email", [1, 2, 3])

    assert following is not None
    assert parse_qs(urlsplit(following).query)["channel"] == ["email"]
    assert following.startswith("http://testserver/list?")


def test_the_trail_back_is_bounded() -> None:
    address: str | None = "/list"
    keys = list(range(1, 4 * MAX_TRAIL))
    for _ in range(MAX_TRAIL + 10):
        assert address is not None
        assert len(address) < 1_000
        _, address, _ = walk(address, keys)


def test_an_empty_list_has_no_neighbours() -> None:
    assert walk("/list", []) == ([], None, None)


def sealed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text", ["!", "abc", "\N{SNOWMAN}", sealed("1.x"), sealed("-1"), sealed(str(1 << 63))]
)
def test_a_cursor_of_somebody_elses_making_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        page_of(request_for(f"/list?cursor={text}"))

    assert caught.value.code == "invalid_cursor"


def test_the_first_page_begins_at_the_beginning() -> None:
    assert Page(limit=10).after == 0
    assert Page(limit=10).fetch == 11
