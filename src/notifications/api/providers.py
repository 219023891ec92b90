"""Routes of providers and of the circuit breakers of their services."""

from __future__ import annotations

import msgspec

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Route
from notifications.features.providers.breakers import BreakerResponse, BreakerService
from notifications.features.providers.service import (
    SCOPE,
    ProviderResponse,
    ProviderService,
    TestResponse,
)
from notifications.infra.field_types import NextPage, PreviousPage


class ProviderList(msgspec.Struct, kw_only=True):
    """All providers, on one page."""

    results: list[ProviderResponse]
    """The providers."""

    next: NextPage = None
    previous: PreviousPage = None


class ProviderBody(msgspec.Struct, kw_only=True):
    """The settings of a provider. They replace all stored settings."""

    settings: dict[str, str]
    """The settings by short name, as texts.
    Example: `{"account_sid": "AC0123456789", "auth_token": "9f2c"}`"""


class TestBody(msgspec.Struct, kw_only=True):
    """A test message."""

    __test__ = False  # not a test of pytest's

    to: str
    """The address of the recipient, as the provider takes it. Example: `"+4915112345678"`"""

    title: str = ""
    """The title; needs `notifications:address`. Example: `A test`"""

    body: str = ""
    """The text; needs `notifications:address`. Example: `It works.`"""


def providers(request: ApiRequest) -> ProviderList:
    return ProviderList(results=ProviderService().providers(caller=request.caller))


def put(request: ApiRequest) -> ProviderResponse:
    body = check_body(request.body, ProviderBody)
    return ProviderService().store(
        key=request.params["provider"], given=body.settings, caller=request.caller
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    ProviderService().delete(key=request.params["provider"], caller=request.caller)
    return 204, None


def send_test(request: ApiRequest) -> TestResponse:
    body = check_body(request.body, TestBody)
    return ProviderService().send_test(
        key=request.params["provider"],
        to=body.to,
        title=body.title,
        body=body.body,
        caller=request.caller,
    )


class BreakerList(msgspec.Struct, kw_only=True):
    """A page of services."""

    results: list[BreakerResponse]
    """The services of this page."""

    next: NextPage
    previous: PreviousPage


class BreakerBody(msgspec.Struct, kw_only=True):
    """The service whose circuit breaker is closed."""

    service: str
    """The service as the list names it. Example: `webhook|example.com`"""


def breakers(request: ApiRequest) -> BreakerList:
    page = page_of(request)
    found = BreakerService().list(after=page.after, limit=page.fetch, caller=request.caller)
    following, previous = links(request, page, [row.id for row in found])
    return BreakerList(results=found[: page.limit], next=following, previous=previous)


def close(request: ApiRequest) -> BreakerResponse:
    body = check_body(request.body, BreakerBody)
    return BreakerService().close(service=body.service, caller=request.caller)


ROUTES: tuple[Route, ...] = (
    Route(
        name="list_providers",
        method="GET",
        path="/api/v1/providers",
        handler=providers,
        summary="List providers, with their settings without secrets.",
        scope=SCOPE,
        responses={200: ProviderList},
    ),
    Route(
        name="put_provider",
        method="PUT",
        path="/api/v1/providers/{provider}",
        handler=put,
        summary="Store a provider's settings, encrypted; they override the environment at once.",
        scope=SCOPE,
        body=ProviderBody,
        responses={200: ProviderResponse},
        errors=(404,),
    ),
    Route(
        name="delete_provider",
        method="DELETE",
        path="/api/v1/providers/{provider}",
        handler=delete,
        summary="Delete a provider's stored settings; those of the environment apply again.",
        scope=SCOPE,
        responses={204: None},
        errors=(404,),
    ),
    Route(
        name="send_test",
        method="POST",
        path="/api/v1/providers/{provider}/test",
        handler=send_test,
        summary="Send a test through a provider, past queue and policy; returns its result.",
        scope=SCOPE,
        body=TestBody,
        responses={200: TestResponse},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="list_breakers",
        method="GET",
        path="/api/v1/breakers",
        handler=breakers,
        summary="List the services of providers: breaker, pause, limit, last success and fault.",
        scope=SCOPE,
        query=PAGE_QUERY,
        responses={200: BreakerList},
    ),
    Route(
        name="close_breaker",
        method="POST",
        path="/api/v1/breakers/close",
        handler=close,
        summary="Close a service's breaker and end its pause: the next messages are sent at once.",
        scope=SCOPE,
        body=BreakerBody,
        responses={200: BreakerResponse},
        errors=(404,),
        idempotent=True,
    ),
)
