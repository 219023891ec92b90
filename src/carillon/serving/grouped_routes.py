"""The busiest routes, each for many requests at once, before Django's handlers.

Only what most requests are is answered here, with success. Every other request is handed on, as it
came, to the route of Django's handlers, which knows each error: its result here is None.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import structlog
from django.conf import settings
from django.db import close_old_connections
from django.http import QueryDict
from django.http.request import split_domain_port, validate_host
from django.utils.functional import cached_property

from carillon.serving.body_limits import body_limit
from carillon.serving.bridge import Response, Scope, encode_headers
from carillon.serving.groups import MOST, Groups
from carillon.serving.middleware import REQUEST_ID, harden, request_id_of
from carillon.serving.pools import Receive
from carillon.serving.route_table import RouteTable
from carillon.serving.settled import CHECK
from notifications.api.auth import words_of
from notifications.api.bodies import read_json, read_query
from notifications.api.errors import database_error_of, problem_response
from notifications.api.idempotency import read_key, request_of
from notifications.api.response import JSON_TYPE, JsonResponse
from notifications.api.route import Route
from notifications.api.routes import ROUTES
from notifications.api.user_reference import user_named_by
from notifications.domain.callers import Caller
from notifications.features.access.callers import caller_of_text
from notifications.features.access.throttles import has_limit
from notifications.features.preferences.group import preferences_group
from notifications.features.sending.groups.accept import (
    GroupAnswer,
    GroupRequest,
    GroupWork,
    accept_group,
    each_alone,
)
from notifications.features.sending.groups.bulks import BulkWork
from notifications.features.sending.groups.sends import SendWork
from notifications.features.sending.groups.statuses import status_group
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database import commits
from notifications.infra.database.commits import CommitAborted, CommitUncertain
from notifications.infra.http.client_address import client_address

log = structlog.get_logger("carillon.web")
_READ = {
    b"host": "host",
    b"authorization": "authorization",
    b"content-type": "content_type",
    b"idempotency-key": "idempotency_key",
    b"x-request-id": "request_id",
    b"x-forwarded-for": "forwarded",
}
_HANDED_ON = frozenset({b"content-encoding", b"accept-language", b"cookie"})
"""Headers whose meaning only Django's handlers know."""
MOST_GROUPS_WAITING = 8
"""Groups that may wait for a thread. One takes some 40 ms, so a request waits a third of a second
at most, and a further request is refused at once."""
_encode = msgspec.json.Encoder().encode


class Call(NamedTuple):
    """A request as it came: the values of the headers that are read, by name, and its parts."""

    headers: Mapping[str, str]
    body: bytes = b""
    query: str = ""
    #: What stands in the path for each parameter of the route.
    params: Mapping[str, str] = MappingProxyType({})
    #: The connected address; empty for a unix socket.
    remote: str = ""

    def address(self) -> str:
        """Returns the client's address, by CARILLON_TRUSTED_PROXIES."""
        forwarded = self.headers.get("forwarded", "")
        return client_address(self.remote, forwarded, environment().trusted_proxies)


def _route(method: str, path: str) -> Route:
    return next(each for each in ROUTES if (each.method, each.path) == (method, path))


@dataclass(frozen=True)
class GroupedRoute(ABC):
    """A route that is served in groups."""

    route: Route

    @abstractmethod
    def respond(self, calls: Sequence[Call]) -> list[Response | None]:
        """Serves a group. None stands for each request that is to be handed on."""

    def call_of(
        self, scope: Scope, body: bytes, params: Mapping[str, str] = MappingProxyType({})
    ) -> Call | None:
        """Returns the request for a group; None for one that is to be handed on."""
        if len(body) > body_limit(scope["path"]):
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
        if "authorization" not in found or not _is_ours(found.get("host", "")):
            return None
        remote = str((scope.get("client") or ("",))[0])
        call = Call(found, body, scope["query_string"].decode("latin-1"), params, remote)
        return call if self.may_take(call) else None

    @abstractmethod
    def may_take(self, call: Call) -> bool:
        """Whether a group may serve the call, as far as its form shows."""

    def caller_of(self, call: Call) -> Caller | None:
        """Returns who makes the call; None where Django's handlers must find out, or refuse."""
        words = words_of(call.headers["authorization"].encode("latin-1"))
        if words is None:
            return None
        caller = caller_of_text(*words, address=call.address)
        needed = self.route.service_scope
        return None if needed and caller.is_service and not caller.may(needed) else caller

    def response(self, body: bytes, request_id: str) -> Response:
        """Returns the success with this body."""
        headers = [
            *self._constant_headers,
            (REQUEST_ID.lower().encode(), request_id.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        return self.route.status, headers, body

    @cached_property
    def _constant_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of every success, as Django's middleware adds them; a test compares them."""
        response = JsonResponse(b"", self.route.status)
        harden(response, self.route.path)
        response["Allow"] = _allowed(self.route.path)
        response["Vary"] = "Accept-Language"
        response["Content-Language"] = settings.LANGUAGE_CODE
        response["X-Frame-Options"] = settings.X_FRAME_OPTIONS
        return encode_headers(response.items(), None)


@dataclass(frozen=True)
class AcceptingRoute(GroupedRoute):
    """A POST of which a group is accepted in one transaction."""

    work: GroupWork[Any] = field(kw_only=True)
    #: What the hourly limit of its callers counts: send or bulk.
    limit: str = field(kw_only=True)

    def may_take(self, call: Call) -> bool:
        return not call.query and call.headers.get("content_type", JSON_TYPE) == JSON_TYPE

    def respond(self, calls: Sequence[Call]) -> list[Response | None]:
        found: list[Response | None] = [None] * len(calls)
        requests = each_alone(enumerate(calls), self._request_of)
        if not requests:
            return found
        with commits.verified():
            result = accept_group(
                list(requests.values()), self.work, now=clock.now(), content_type=JSON_TYPE
            )
        for (place, request), answer in zip(requests.items(), result.answers, strict=True):
            if answer is not None and result.lost is not None:
                found[place] = self._lost(request, answer, result.lost)
            elif answer is not None:
                found[place] = self.response(answer.body, request.request_id)
        return found

    def _request_of(self, call: Call) -> GroupRequest | None:
        caller = self.caller_of(call)
        # The count of a limit is a row that the caller's other requests wait for.
        if caller is None or has_limit(self.limit, caller):
            return None
        body = read_json(call.body)
        key = read_key(call.headers.get("idempotency_key"))
        claim = None if key is None else request_of(caller, self.route, key, params={}, body=body)
        request_id = request_id_of(call.headers.get("request_id", ""))
        return GroupRequest(caller, body, request_id, claim)

    def _lost(
        self, request: GroupRequest, answer: GroupAnswer, lost: CommitAborted | CommitUncertain
    ) -> Response:
        """Returns the response to a request whose COMMIT got none."""
        is_uncertain = isinstance(lost, CommitUncertain)
        cause = CommitUncertain(dict(answer.made)) if is_uncertain else lost
        key = request.claim.key if request.claim else ""
        error = database_error_of(cause, key=key)
        assert error is not None
        response = problem_response(error, path=self.route.path)
        response[REQUEST_ID] = request.request_id
        harden(response, self.route.path)
        headers = encode_headers(response.items(), response.content)
        return response.status_code, headers, response.content


@dataclass(frozen=True)
class ReadingRoute(GroupedRoute):
    """A GET: one set of statements for a group."""

    #: Reads what each caller asks for; None where the request has an error.
    read: Callable[[Sequence[tuple[Caller, Any]]], Sequence[msgspec.Struct | None]] = field(
        kw_only=True
    )
    #: What a call asks for, from its path and its query.
    named: Callable[[Mapping[str, str], Mapping[str, Any]], Any] = field(kw_only=True)

    def may_take(self, call: Call) -> bool:
        return not call.body

    def respond(self, calls: Sequence[Call]) -> list[Response | None]:
        found: list[Response | None] = [None] * len(calls)
        requests = each_alone(enumerate(calls), self._request_of)
        if not requests:
            return found
        shown = self.read(list(requests.values()))
        for place, shape in zip(requests, shown, strict=True):
            if shape is not None:
                request_id = request_id_of(calls[place].headers.get("request_id", ""))
                found[place] = self.response(_encode(shape), request_id)
        return found

    def _request_of(self, call: Call) -> tuple[Caller, Any] | None:
        caller = self.caller_of(call)
        if caller is None:
            return None
        query = read_query(QueryDict(call.query), self.route.query)
        return caller, self.named(call.params, query)


_SEND = _route("POST", "/api/v1/notifications/send")
_BULK = _route("POST", "/api/v1/notifications/bulk")
GROUPED: Mapping[tuple[str, str], GroupedRoute] = {
    (each.route.method, each.route.path): each
    for each in (
        AcceptingRoute(_SEND, work=SendWork(), limit="send"),
        AcceptingRoute(_BULK, work=BulkWork(), limit="bulk"),
        ReadingRoute(
            _route("GET", "/api/v1/preferences"),
            read=preferences_group,
            named=lambda _, query: user_named_by(query),
        ),
        ReadingRoute(
            _route("GET", "/api/v1/notifications/{id}/status"),
            read=status_group,
            named=lambda params, _: params["id"],
        ),
    )
}
"""The routes that are served in groups, by method and path."""
_TABLE = RouteTable(GROUPED, paths=[each.path for each in ROUTES])


def grouped_call(scope: Scope, body: bytes) -> tuple[GroupedRoute, Call] | None:
    """Returns the route and the request of a group; None where it must be served alone."""
    found = _TABLE.find(scope["method"], scope["path"].removesuffix("/"))
    if found is None:
        return None
    grouped, params = found
    call = grouped.call_of(scope, body, params)
    return None if call is None else (grouped, call)


class GroupedRoutes:
    """Serves requests in groups, each route in groups of its own."""

    def __init__(self, *, waiting: int, patience: float) -> None:
        """Creates the threads.

        Args:
            waiting: how many requests may wait for a thread that serves one at a time. Of requests
                that are served in groups, as many groups pass meanwhile, but at most
                MOST_GROUPS_WAITING.
            patience: for how many seconds at most.
        """
        waiting = MOST * min(waiting, MOST_GROUPS_WAITING)
        self._groups = {
            each.route.name: Groups(
                each.route.name,
                _with_connection(each),
                waiting=waiting,
                patience=patience,
            )
            for each in GROUPED.values()
        }

    async def __call__(self, scope: Scope, body: bytes, receive: Receive) -> Response | None:
        """Returns the response to a request; None where it must be served alone."""
        found = grouped_call(scope, body)
        if found is None:
            return None
        grouped, call = found
        return await self._groups[grouped.route.name].run(call, receive)

    def shutdown(self) -> None:
        """Waits for the groups in progress."""
        for each in self._groups.values():
            each.shutdown()


def _with_connection(grouped: GroupedRoute) -> Callable[[Sequence[Call]], list[Response | None]]:
    """Returns what serves a group as a request of Django's: a lost connection is opened anew."""

    def respond(calls: Sequence[Call]) -> list[Response | None]:
        try:
            if not CHECK.is_settled():  # the middleware of a single request says so
                return [None] * len(calls)
            return grouped.respond(calls)
        finally:
            close_old_connections()

    return respond


def _is_ours(host: str) -> bool:
    """Whether the service is reached by this host (CARILLON_ALLOWED_HOSTS)."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _allowed(path: str) -> str:
    """Returns the methods of a path, as the view's Allow header lists them."""
    methods = [each.method for each in ROUTES if each.path == path]
    return ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
