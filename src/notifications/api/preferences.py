"""Routes of preferences and consents."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Auth, Query, Route
from notifications.api.user_reference import USER_QUERY, user_in_body, user_in_query
from notifications.features.preferences.centre import PreferenceCentre
from notifications.features.preferences.consents import READ, WRITE, ConsentService
from notifications.features.preferences.double_opt_in import DoubleOptIn, OptInBody, OptInResponse
from notifications.features.preferences.schemas import (
    ConsentBody,
    ConsentList,
    ConsentResponse,
    PreferencesBody,
    PreferencesLink,
    PreferencesResponse,
    UnsubscribeResponse,
)
from notifications.features.preferences.service import PreferenceService
from notifications.features.preferences.unsubscribe import ONE_CLICK, UnsubscribeService
from notifications.infra.http.client_address import address_of


def preferences(request: ApiRequest) -> PreferencesResponse:
    return PreferenceService().get(caller=request.caller, identifier=user_in_query(request))


def change(request: ApiRequest) -> PreferencesResponse:
    return PreferenceService().update(
        changes=request.body,
        caller=request.caller,
        identifier=user_in_query(request),
        ip=_ip(request),
    )


def link(request: ApiRequest) -> PreferencesLink:
    return PreferenceCentre().link(caller=request.caller, identifier=user_in_query(request))


def unsubscribe(request: ApiRequest) -> UnsubscribeResponse:
    UnsubscribeService().apply(
        token=request.query["token"],
        source=ONE_CLICK,
        category=request.query["category"],
        ip=_ip(request),
    )
    return UnsubscribeResponse()


def consents(request: ApiRequest) -> ConsentList:
    page = page_of(request)
    found = ConsentService().list(
        caller=request.caller,
        identifier=user_in_query(request),
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [entry.id for entry in found])
    return ConsentList(results=found[: page.limit], next=following, previous=previous)


def consent(request: ApiRequest) -> ConsentResponse:
    body = check_body(request.body, ConsentBody)
    service = ConsentService()
    return (service.give if body.granted else service.withdraw)(
        purpose=body.purpose,
        wording=body.wording,
        source=body.source,
        caller=request.caller,
        identifier=user_in_body(body),
        ip=_ip(request),
    )


def ask_for_consent(request: ApiRequest) -> OptInResponse:
    body = check_body(request.body, OptInBody)
    return DoubleOptIn().request(
        purpose=body.purpose, caller=request.caller, identifier=user_in_body(body)
    )


def _ip(request: ApiRequest) -> str | None:
    return address_of(request.http) or None


LONGEST_TOKEN = 50_000
"""Every token that the server can receive is read, so that a wrong one gets its own error."""
ROUTES: tuple[Route, ...] = (
    Route(
        name="get_preferences",
        method="GET",
        path="/api/v1/preferences",
        handler=preferences,
        summary="Get a user's preferences.",
        service_scope=READ,
        query=USER_QUERY,
        responses={200: PreferencesResponse},
        errors=(403, 404),
    ),
    Route(
        name="change_preferences",
        method="PUT",
        path="/api/v1/preferences",
        handler=change,
        summary="Change some of a user's preferences; what is left out stays as it is.",
        service_scope=WRITE,
        query=USER_QUERY,
        body=PreferencesBody,
        responses={200: PreferencesResponse},
        errors=(403, 404),
    ),
    Route(
        name="link_to_preferences",
        method="GET",
        path="/api/v1/preferences/link",
        handler=link,
        summary="Get a link to a user's preference centre, which needs no login for an hour.",
        service_scope=WRITE,
        query=USER_QUERY,
        responses={200: PreferencesLink},
        errors=(403, 404),
    ),
    Route(
        name="unsubscribe",
        method="POST",
        path="/api/v1/preferences/unsubscribe",
        handler=unsubscribe,
        summary="Unsubscribe by a signed link; a valid token always gets 200 (RFC 8058).",
        auth=Auth.PUBLIC,
        query=(
            Query(name="token", about="The token of the link.", longest=LONGEST_TOKEN),
            Query(
                name="category",
                about="Another category to unsubscribe from instead.",
            ),
        ),
        responses={200: UnsubscribeResponse},
    ),
    Route(
        name="list_consents",
        method="GET",
        path="/api/v1/consents",
        handler=consents,
        summary="List a user's consents and withdrawals, the oldest first.",
        service_scope=READ,
        query=(*USER_QUERY, *PAGE_QUERY),
        responses={200: ConsentList},
        errors=(403, 404),
    ),
    Route(
        name="record_consent",
        method="POST",
        path="/api/v1/consents",
        handler=consent,
        summary="Record that a user gives or withdraws a consent.",
        service_scope=WRITE,
        body=ConsentBody,
        responses={201: ConsentResponse},
        errors=(403, 404),
        idempotent=True,
    ),
    Route(
        name="ask_for_consent",
        method="POST",
        path="/api/v1/consents/requests",
        handler=ask_for_consent,
        summary="Request a consent by email; it counts once confirmed (double opt-in).",
        service_scope=WRITE,
        body=OptInBody,
        responses={201: OptInResponse},
        errors=(403, 404, 409),
        idempotent=True,
    ),
)
