"""Routes of tokens and API keys."""

from __future__ import annotations

from typing import Annotated

import msgspec

from notifications.api.bodies import Text, check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Auth, Query, Route
from notifications.features.access.authentication import TokenPair
from notifications.features.access.service import (
    KEY_KIND,
    LONGEST_OVERLAP_S,
    MOST_ADDRESSES,
    SCOPE,
    WRITE_SCOPE,
    ApiKeyResponse,
    ApiKeyService,
    IssuedKeyResponse,
)
from notifications.features.access.tokens.families import log_in, refresh_tokens
from notifications.infra.field_types import NextPage, PreviousPage
from notifications.infra.http.client_address import address_of

Networks = Annotated[
    list[Annotated[str, msgspec.Meta(max_length=50)]], msgspec.Meta(max_length=MOST_ADDRESSES)
]


class LoginBody(msgspec.Struct, kw_only=True):
    """A user's name and password."""

    username: Text
    """The name that the user signs in with. Example: `ada`"""

    password: Annotated[str, msgspec.Meta(max_length=4096)]
    """The password. Example: `correct horse battery staple`"""

    code: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """The code of the authenticator app, or a recovery code, for a user with a second factor.
    Example: `"482913"`"""


class RefreshBody(msgspec.Struct, kw_only=True):
    """A refresh token."""

    refresh: Annotated[str, msgspec.Meta(max_length=8192)]
    """The refresh token of an earlier response. Example: `eyJhbGciOiJIUzI1NiJ9.e30.x8`"""


class TokenResponse(msgspec.Struct, kw_only=True):
    """A pair of tokens."""

    access: str
    """The token for `Authorization: Bearer`. Example: `eyJhbGciOiJIUzI1NiJ9.e30.x7`"""

    refresh: str
    """The token that gets the next pair. Example: `eyJhbGciOiJIUzI1NiJ9.e30.x8`"""

    expires_in: int
    """For how many seconds the access token is valid. Example: `900`"""


class ApiKeyBody(msgspec.Struct, kw_only=True):
    """An API key to issue."""

    name: Annotated[str, msgspec.Meta(max_length=100)]
    """What the key is for, up to 100 characters. Example: `billing service`"""

    scopes: list[Annotated[Text, SCOPE]]
    """The scopes of the key; `*` stands for every scope. Example: `["notifications:send"]`"""

    kind: Annotated[Text, KEY_KIND] = "live"

    addresses: Networks = []
    """The networks from which the key may be used, at most 50; empty for all.
    Example: `["192.0.2.0/24"]`"""


class ApiKeyAddressesBody(msgspec.Struct, kw_only=True):
    """The networks from which a key may be used."""

    addresses: Networks
    """Addresses and networks, at most 50; empty for all. Example: `["192.0.2.0/24"]`"""


class ApiKeyList(msgspec.Struct, kw_only=True):
    """A page of API keys, the oldest first."""

    results: list[ApiKeyResponse]
    """The keys of this page."""

    next: NextPage = None
    previous: PreviousPage = None


def token(request: ApiRequest) -> TokenResponse:
    body = check_body(request.body, LoginBody)
    return _token_response(
        log_in(
            username=body.username,
            password=body.password,
            code=body.code,
            address=address_of(request.http),
            now=request.now,
        )
    )


def refresh(request: ApiRequest) -> TokenResponse:
    body = check_body(request.body, RefreshBody)
    return _token_response(refresh_tokens(body.refresh, now=request.now))


def api_keys(request: ApiRequest) -> ApiKeyList:
    page = page_of(request)
    found = ApiKeyService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [key.id for key in found])
    return ApiKeyList(results=found[: page.limit], next=following, previous=previous)


def issue(request: ApiRequest) -> IssuedKeyResponse:
    body = check_body(request.body, ApiKeyBody)
    return ApiKeyService().issue(
        name=body.name,
        scopes=body.scopes,
        kind=body.kind,
        addresses=body.addresses,
        caller=request.caller,
    )


def rotate(request: ApiRequest) -> IssuedKeyResponse:
    return ApiKeyService().rotate(
        identifier=request.params["id"],
        overlap_s=request.query["overlap_seconds"],
        caller=request.caller,
    )


def set_addresses(request: ApiRequest) -> ApiKeyResponse:
    body = check_body(request.body, ApiKeyAddressesBody)
    return ApiKeyService().set_addresses(
        identifier=request.params["id"], addresses=body.addresses, caller=request.caller
    )


def revoke(request: ApiRequest) -> tuple[int, None]:
    ApiKeyService().revoke(identifier=request.params["id"], caller=request.caller)
    return 204, None


def _token_response(pair: TokenPair) -> TokenResponse:
    return TokenResponse(access=pair.access, refresh=pair.refresh, expires_in=pair.expires_in)


ROUTES: tuple[Route, ...] = (
    Route(
        name="log_in",
        method="POST",
        path="/api/v1/auth/token",
        handler=token,
        summary="Exchange a name and password for a JWT.",
        auth=Auth.PUBLIC,
        body=LoginBody,
        responses={200: TokenResponse},
        errors=(401, 403, 429),
    ),
    Route(
        name="refresh_token",
        method="POST",
        path="/api/v1/auth/refresh",
        handler=refresh,
        summary="Exchange a refresh token for a new pair; it can be exchanged once.",
        auth=Auth.PUBLIC,
        body=RefreshBody,
        responses={200: TokenResponse},
        errors=(401,),
    ),
    Route(
        name="list_api_keys",
        method="GET",
        path="/api/v1/api-keys",
        handler=api_keys,
        summary="List API keys, without their texts.",
        scope=WRITE_SCOPE,
        query=PAGE_QUERY,
        responses={200: ApiKeyList},
    ),
    Route(
        name="issue_api_key",
        method="POST",
        path="/api/v1/api-keys",
        handler=issue,
        summary="Issue an API key; its text is shown once.",
        scope=WRITE_SCOPE,
        body=ApiKeyBody,
        responses={201: IssuedKeyResponse},
        idempotent=True,
        secrets=("key",),
    ),
    Route(
        name="rotate_api_key",
        method="POST",
        path="/api/v1/api-keys/{id}/rotate",
        handler=rotate,
        summary="Give a key a new text; the old text is void at once, or after an overlap.",
        scope=WRITE_SCOPE,
        query=(
            Query(
                name="overlap_seconds",
                about="For how long the old text is accepted, too, in seconds, up to 7 days.",
                kind="integer",
                default=0,
                highest=LONGEST_OVERLAP_S,
            ),
        ),
        responses={200: IssuedKeyResponse},
        errors=(404, 409),
        idempotent=True,
        secrets=("key",),
    ),
    Route(
        name="set_api_key_addresses",
        method="PUT",
        path="/api/v1/api-keys/{id}/addresses",
        handler=set_addresses,
        summary="Set the networks from which a key may be used.",
        scope=WRITE_SCOPE,
        body=ApiKeyAddressesBody,
        responses={200: ApiKeyResponse},
        errors=(404,),
    ),
    Route(
        name="end_api_key",
        method="POST",
        path="/api/v1/api-keys/{id}/revoke",
        handler=revoke,
        summary="Revoke a key with all its texts, at once and for good.",
        scope=WRITE_SCOPE,
        responses={204: None},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="revoke_api_key",
        method="DELETE",
        path="/api/v1/api-keys/{id}",
        handler=revoke,
        summary="Revoke a key at once and for good.",
        scope=WRITE_SCOPE,
        responses={204: None},
        errors=(404,),
    ),
)
