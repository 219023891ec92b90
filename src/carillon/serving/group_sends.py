"""`POST /api/v1/notifications/send` for many requests at once, before Django's handlers.

Only what most sends are is answered here, with 201. Every other request is handed on, as it came,
to the route of Django's handlers, which knows each refusal: `answer_group` returns None for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import close_old_connections
from django.http.request import split_domain_port, validate_host

from carillon.serving.body_limits import body_limit
from carillon.serving.bridge import Response, Scope, encode_headers
from carillon.serving.groups import Groups
from carillon.serving.middleware import REQUEST_ID, harden, request_id_of
from carillon.serving.pools import Receive
from notifications.api.auth import words_of
from notifications.api.bodies import read_json
from notifications.api.errors import commit_error, problem_response
from notifications.api.idempotency import read_key, request_of
from notifications.api.response import JSON_TYPE, JsonResponse
from notifications.api.routes import ROUTES
from notifications.features.access.callers import caller_of_text
from notifications.features.access.throttles import has_limit
from notifications.features.sending.group import GroupAnswer, GroupSend, send_group
from notifications.infra import clock
from notifications.infra.database import commits
from notifications.infra.database.commits import CommitUncertain

log = structlog.get_logger("carillon.web")
ROUTE = next(each for each in ROUTES if each.path == "/api/v1/notifications/send")
_PATHS = (ROUTE.path, f"{ROUTE.path}/")
_READ = {
    b"host": "host",
    b"authorization": "authorization",
    b"content-type": "content_type",
    b"idempotency-key": "idempotency_key",
    b"x-request-id": "request_id",
}
_HANDED_ON = frozenset({b"content-encoding", b"accept-language", b"cookie"})
"""Headers whose meaning only Django's handlers know."""


class Call(NamedTuple):
    """A request as it came: the values of the headers that are read, by name, and the body."""

    headers: Mapping[str, str]
    body: bytes


class GroupedSends:
    """Answers sends in groups. Args: see `Groups`."""

    def __init__(self, *, waiting: int, patience: float) -> None:
        self._groups = Groups("sends", _answer, waiting=waiting, patience=patience, at_once=2)

    async def __call__(self, scope: Scope, body: bytes, receive: Receive) -> Response | None:
        call = call_of(scope, body)
        return None if call is None else await self._groups.run(call, receive)

    def shutdown(self) -> None:
        """Waits for the group in progress."""
        self._groups.shutdown()


def _answer(calls: Sequence[Call]) -> list[Response | None]:
    """Answers a group as a request of Django's: a lost connection is opened anew."""
    try:
        return answer_group(calls)
    finally:
        close_old_connections()


def call_of(scope: Scope, body: bytes) -> Call | None:
    """Returns the request for a group; None for one that is to be handed on."""
    path = scope["path"]
    if path not in _PATHS or scope["method"] != ROUTE.method or scope["query_string"]:
        return None
    if len(body) > body_limit(path):
        return None
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in _HANDED_ON:
            return None
        field = _READ.get(name)
        if field is not None:
            if field in found:
                return None
            found[field] = value.decode("latin-1")
    named = found.get("content_type", JSON_TYPE)
    if named != JSON_TYPE or "authorization" not in found or not _is_ours(found.get("host", "")):
        return None
    return Call(found, body)


def _is_ours(host: str) -> bool:
    """Whether the service is reached by this host (CARILLON_ALLOWED_HOSTS)."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def answer_group(calls: Sequence[Call]) -> list[Response | None]:
    """Accepts the sends of a group. None stands for each request that is to be handed on."""
    found: list[Response | None] = [None] * len(calls)
    sends = _sends_of(calls)
    if not sends:
        return found
    with commits.verified():
        result = send_group(list(sends.values()), now=clock.now(), content_type=JSON_TYPE)
    for (place, send), answer in zip(sends.items(), result.answers, strict=True):
        if answer is not None:
            found[place] = _response(send, answer, is_uncertain=result.is_uncertain)
    return found


def _sends_of(calls: Sequence[Call]) -> dict[int, GroupSend]:
    """The sends that a group may accept, by the place of their request."""
    sends: dict[int, GroupSend] = {}
    for place, call in enumerate(calls):
        try:
            send = _send_of(call)
        except Exception as error:  # this request's alone: the ordinary route answers it
            log.debug("group.left", error=type(error).__name__)
            continue
        if send is not None:
            sends[place] = send
    return sends


def _send_of(call: Call) -> GroupSend | None:
    words = words_of(call.headers["authorization"].encode("latin-1"))
    if words is None:
        return None
    caller = caller_of_text(*words)
    if has_limit("send", caller):  # its count is a row that its other requests wait for
        return None
    if ROUTE.service_scope and caller.is_service and not caller.may(ROUTE.service_scope):
        return None
    body = read_json(call.body)
    key = read_key(call.headers.get("idempotency_key"))
    claim = None if key is None else request_of(caller, ROUTE, key, params={}, body=body)
    return GroupSend(caller, body, request_id_of(call.headers.get("request_id", "")), claim)


def _response(send: GroupSend, answer: GroupAnswer, *, is_uncertain: bool) -> Response:
    if not is_uncertain:
        return 201, _headers(send.request_id, len(answer.body)), answer.body
    lost = CommitUncertain({"notification_id": str(answer.notification_id)})
    error = commit_error(lost, send.claim.key if send.claim else "")
    response = problem_response(error, path=ROUTE.path)
    response[REQUEST_ID] = send.request_id
    harden(response, ROUTE.path)
    return (
        response.status_code,
        encode_headers(response.items(), response.content),
        response.content,
    )


@cache
def _constant_headers() -> list[tuple[bytes, bytes]]:
    """The headers of every 201, as Django's middleware adds them; a test compares both ways."""
    response = JsonResponse(b"", 201)
    harden(response, ROUTE.path)
    response["Allow"] = ROUTE.method
    response["Vary"] = "Accept-Language"
    response["Content-Language"] = settings.LANGUAGE_CODE
    response["X-Frame-Options"] = settings.X_FRAME_OPTIONS
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = settings.SECURE_REFERRER_POLICY
    response["Cross-Origin-Opener-Policy"] = settings.SECURE_CROSS_ORIGIN_OPENER_POLICY
    return encode_headers(response.items(), None)


def _headers(request_id: str, length: int) -> list[tuple[bytes, bytes]]:
    return [
        *_constant_headers(),
        (REQUEST_ID.lower().encode(), request_id.encode()),
        (b"content-length", str(length).encode()),
    ]
