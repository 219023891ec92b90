"""Tokens and API keys."""

from __future__ import annotations

from notifications.api.addresses import address_of
from notifications.api.answers import (
    ApiKeyBody,
    ApiKeyList,
    LoginBody,
    RefreshBody,
    TokenAnswer,
)
from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.access.authentication import TokenPair, log_in, refresh_tokens
from notifications.features.access.service import ApiKeyService, IssuedKeyAnswer


def token(request: ApiRequest) -> TokenAnswer:
    body = check_body(request.body, LoginBody)
    return _answer(
        log_in(
            username=body.username,
            password=body.password,
            address=address_of(request.http),
            now=request.now,
        )
    )


def refresh(request: ApiRequest) -> TokenAnswer:
    body = check_body(request.body, RefreshBody)
    return _answer(refresh_tokens(body.refresh, now=request.now))


def api_keys(request: ApiRequest) -> ApiKeyList:
    page = page_of(request)
    found = ApiKeyService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [key.id for key in found])
    return ApiKeyList(results=found[: page.limit], next=following, previous=previous)


def issue(request: ApiRequest) -> IssuedKeyAnswer:
    body = check_body(request.body, ApiKeyBody)
    return ApiKeyService().issue(
        name=body.name, scopes=body.scopes, kind=body.kind, caller=request.caller
    )


def rotate(request: ApiRequest) -> IssuedKeyAnswer:
    return ApiKeyService().rotate(identifier=request.params["id"], caller=request.caller)


def revoke(request: ApiRequest) -> tuple[int, None]:
    ApiKeyService().revoke(identifier=request.params["id"], caller=request.caller)
    return 204, None


def _answer(pair: TokenPair) -> TokenAnswer:
    return TokenAnswer(access=pair.access, refresh=pair.refresh, expires_in=pair.expires_in)
