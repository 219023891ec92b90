"""Providers and their accounts."""

from __future__ import annotations

import msgspec

from notifications.api.bodies import check_body
from notifications.api.route import ApiRequest
from notifications.features.providers.service import ProviderAnswer, ProviderService, TestAnswer


class ProviderList(msgspec.Struct, kw_only=True):
    """Every provider there is: a fixed list, on one page."""

    results: list[ProviderAnswer]
    next: str | None = None
    previous: str | None = None


class ProviderBody(msgspec.Struct, kw_only=True):
    """The settings to store, by short name, as text. They replace what was stored before."""

    settings: dict[str, str]


class TestBody(msgspec.Struct, kw_only=True):
    """Whom to send a test to, and what it says."""

    __test__ = False  # not a test of pytest's

    to: str
    title: str = ""
    body: str = ""


def providers(request: ApiRequest) -> ProviderList:
    return ProviderList(results=ProviderService().providers(caller=request.caller))


def put(request: ApiRequest) -> ProviderAnswer:
    body = check_body(request.body, ProviderBody)
    return ProviderService().put(
        key=request.params["provider"], given=body.settings, caller=request.caller
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    ProviderService().delete(key=request.params["provider"], caller=request.caller)
    return 204, None


def send_test(request: ApiRequest) -> TestAnswer:
    body = check_body(request.body, TestBody)
    return ProviderService().send_test(
        key=request.params["provider"],
        to=body.to,
        title=body.title,
        body=body.body,
        caller=request.caller,
    )
