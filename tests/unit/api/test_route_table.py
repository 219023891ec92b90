"""The table of grouped routes: exact paths, paths with a parameter, and no path that is two."""

from __future__ import annotations

import pytest

from carillon.serving.route_table import RouteTable

STATUS = "/n/{id}/status"
TABLE = RouteTable(
    {("GET", "/p"): "p", ("POST", "/n/send"): "send", ("GET", STATUS): "status"},
    paths=["/p", "/n/send", STATUS, "/n/{id}", "/n/{id}/cancel"],
)


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/p", ("p", {})),
        ("POST", "/n/send", ("send", {})),
        ("GET", "/n/7/status", ("status", {"id": "7"})),
        ("GET", "/n/{id}/status", ("status", {"id": "{id}"})),
        ("GET", "/n/{}/status", ("status", {"id": "{}"})),
        ("POST", "/p", None),
        ("POST", "/n/7/status", None),
        ("GET", "/n//status", None),
        ("GET", "/n/7/8/status", None),
        ("GET", "/n/7/status/", None),
        ("GET", "/n/7/cancel", None),
        ("GET", "/n/7", None),
        ("GET", "/{}/7/status", None),
        ("GET", "", None),
    ],
)
def test_a_path_finds_its_route(method: str, path: str, found: object) -> None:
    assert TABLE.find(method, path) == found


@pytest.mark.parametrize("other", ["/n/all/status", "/n/{id}/{part}", "/{kind}/7/status"])
def test_a_path_that_another_route_matches_is_refused(other: str) -> None:
    with pytest.raises(ValueError, match="match the same requests"):
        RouteTable({("GET", STATUS): "status"}, paths=[STATUS, other])


def test_a_path_with_two_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="more than one parameter"):
        RouteTable({("GET", "/n/{id}/{part}"): "x"}, paths=[])
