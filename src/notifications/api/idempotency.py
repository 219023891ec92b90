"""`Idempotency-Key`: reads the header, and stores or replays whole HTTP responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.http import HttpResponse

from notifications.api.errors import KEY_HEADER, problem_response
from notifications.api.response import JsonResponse
from notifications.api.route import ApiRequest, Route
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest, Refused
from notifications.features.access.idempotency import (
    IdempotentRequest,
    StoredResponse,
    respond_once,
)
from notifications.infra.crypto import body_hash

REPLAYED = "Idempotency-Replayed"
MAX_KEY = 200
STORED_REFUSALS = frozenset({"opted_out"})
"""Refusals that are stored like a success. After other refusals a client may correct and retry."""


def read_key(header: str | None) -> str | None:
    """Returns the key of the header; None without one.

    Raises:
        InvalidRequest: invalid_idempotency_key.
    """
    if header is None:
        return None
    if not header or len(header) > MAX_KEY or not (header.isascii() and header.isprintable()):
        detail = f"must be 1 to {MAX_KEY} printable ASCII characters, e.g. a UUID"
        raise InvalidRequest([FieldError(KEY_HEADER, "invalid_idempotency_key", detail)])
    return header


def respond_with_key(
    route: Route,
    call: ApiRequest,
    key: str,
    *,
    work: Callable[[], HttpResponse],
) -> HttpResponse:
    """Returns the response of `work`, which runs once: a repetition gets the stored response."""
    claim = request_of(call.caller, route, key, params=call.params, body=call.body)
    stored, replayed = respond_once(
        claim, now=call.now, work=lambda: _run(work, route, path=call.http.path)
    )
    response = JsonResponse(stored.body, stored.status, stored.content_type)
    if replayed:
        response[REPLAYED] = "true"
    return response


def request_of(
    caller: Caller, route: Route, key: str, *, params: Mapping[str, str], body: object
) -> IdempotentRequest:
    """Returns what a key identifies. The path counts, the order of JSON keys does not."""
    parts: dict[str, Any] = {"path": dict(params), "body": body}
    return IdempotentRequest(
        principal=caller.name,
        method=route.method,
        route=route.path,
        key=key,
        body_hash=body_hash(msgspec.json.encode(parts, order="deterministic")),
    )


def _run(work: Callable[[], HttpResponse], route: Route, *, path: str) -> StoredResponse:
    try:
        response = work()
    except Refused as refusal:
        if refusal.code not in STORED_REFUSALS:
            raise
        response = problem_response(refusal, path=path)
    body = response.content
    has_secrets = route.secrets and response.status_code < 300
    stored = _without_secrets(route.secrets, body) if has_secrets else None
    return StoredResponse(response.status_code, response["Content-Type"], body, stored)


def _without_secrets(secrets: tuple[str, ...], body: bytes) -> bytes:
    """Returns the body to store: a secret is shown once and never stored."""
    return msgspec.json.encode({**msgspec.json.decode(body), **dict.fromkeys(secrets)})
