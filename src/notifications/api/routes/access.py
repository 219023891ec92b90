"""Logging in, tokens and API keys."""

from __future__ import annotations

from notifications.api import access
from notifications.api.answers import ApiKeyBody, ApiKeyList, LoginBody, RefreshBody, TokenAnswer
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Auth, Route
from notifications.features.access.service import WRITE_SCOPE, IssuedKeyAnswer

ROUTES: tuple[Route, ...] = (
    Route(
        name="log_in",
        method="POST",
        path="/api/v1/auth/token",
        handler=access.token,
        summary="Exchange a name and password for a JWT.",
        auth=Auth.PUBLIC,
        body=LoginBody,
        answers={200: TokenAnswer},
        errors=(401, 429),
    ),
    Route(
        name="refresh_token",
        method="POST",
        path="/api/v1/auth/refresh",
        handler=access.refresh,
        summary="Exchange a refresh token for a new pair.",
        auth=Auth.PUBLIC,
        body=RefreshBody,
        answers={200: TokenAnswer},
        errors=(401,),
    ),
    Route(
        name="list_api_keys",
        method="GET",
        path="/api/v1/api-keys",
        handler=access.api_keys,
        summary="API keys, without their texts.",
        scope=WRITE_SCOPE,
        query=PAGE_QUERY,
        answers={200: ApiKeyList},
    ),
    Route(
        name="issue_api_key",
        method="POST",
        path="/api/v1/api-keys",
        handler=access.issue,
        summary="Make an API key; its text is shown this once.",
        scope=WRITE_SCOPE,
        body=ApiKeyBody,
        answers={201: IssuedKeyAnswer},
        idempotent=True,
        secrets=("key",),
    ),
    Route(
        name="rotate_api_key",
        method="POST",
        path="/api/v1/api-keys/{id}/rotate",
        handler=access.rotate,
        summary="Give a key a new text; the old one ends at once.",
        scope=WRITE_SCOPE,
        answers={200: IssuedKeyAnswer},
        errors=(404, 409),
        idempotent=True,
        secrets=("key",),
    ),
    Route(
        name="revoke_api_key",
        method="DELETE",
        path="/api/v1/api-keys/{id}",
        handler=access.revoke,
        summary="End a key at once and for good.",
        scope=WRITE_SCOPE,
        answers={204: None},
        errors=(404,),
    ),
)
