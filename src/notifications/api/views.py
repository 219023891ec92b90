"""The views, one for each path: authenticate, check, decode, call the handler, encode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from notifications.api.auth import caller_of
from notifications.api.bodies import read_object, read_query
from notifications.api.errors import KEY_HEADER, MethodNotAllowed
from notifications.api.idempotency import read_key, respond_with_key
from notifications.api.openapi import documented
from notifications.api.reach import is_for_test_keys
from notifications.api.response import JSON_TYPE, FileResponse, JsonResponse
from notifications.api.route import ApiRequest, Auth, Download, Route
from notifications.domain.callers import Caller
from notifications.features.access.service import check_test_key, missing_scope, person_of
from notifications.infra import clock

PUBLIC_CALLER = Caller(name="public")
_encode = msgspec.json.Encoder().encode


class RouteView(APIView):
    """The base of all views. A path returns JSON or a file; content is not negotiated."""

    routes: ClassVar[dict[str, Route]]
    idempotency_key: str | None = None
    permission_classes = ()  # the routes' scopes are checked in `call`
    throttle_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Does nothing: there are no versions and no negotiation, and `call` authenticates."""

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), JSON_TYPE

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        known = ", ".join(self.allowed_methods)
        raise MethodNotAllowed(f"{request.method} is not supported here; supported: {known}")

    def call(self, request: Request, params: dict[str, str]) -> HttpResponseBase:
        """Runs the route of the request's method."""
        route = self.routes["GET" if request.method == "HEAD" else str(request.method)]
        caller = check_caller(route, request)
        http = request._request
        key = read_key(http.headers.get(KEY_HEADER)) if route.idempotent else None
        self.idempotency_key = key
        call = ApiRequest(
            caller=caller,
            now=clock.now(),
            params=params,
            query=_query_of(route, http),
            body=read_object(http) if route.body and not route.reads_body else {},
            http=http,
        )
        if route.media:
            return download(route, call)
        if key is None:
            return respond(route, call)
        return respond_with_key(route, call, key, work=lambda: respond(route, call))


def _query_of(route: Route, http: HttpRequest) -> dict[str, Any]:
    """Returns the query parameters. Most calls have none, and then nothing is parsed."""
    if route.of_vendor or not (route.query or http.META.get("QUERY_STRING")):
        return {}
    return read_query(http.GET, route.query)


def check_caller(route: Route, request: Request) -> Caller:
    """Returns the caller: a person, or who has the scope that the route needs.

    Raises:
        Unauthenticated: the request has no credentials.
        Refused: person_required; missing_scope; test_key, for a test key and a route that changes
            more than tests.
    """
    if route.auth is Auth.PUBLIC:
        return PUBLIC_CALLER
    caller = caller_of(request)
    if route.for_persons:
        person_of(caller)
    needed = route.scope or (route.service_scope if caller.is_service else None)
    if needed and not caller.may(needed):
        raise missing_scope(needed)
    if caller.is_test:
        check_test_key(caller, is_test=is_for_test_keys(route.method, route.name))
    return caller


def respond(route: Route, call: ApiRequest) -> HttpResponse:
    """Calls the handler and encodes its result."""
    result = route.handler(call)
    assert not isinstance(result, Download), "a route that returns a file has a media type"
    status, shape = result if isinstance(result, tuple) else (route.status, result)
    return JsonResponse(b"" if shape is None else _encode(shape), status)


def download(route: Route, call: ApiRequest) -> FileResponse:
    """Calls the handler of a route with a media type and returns its file."""
    result = route.handler(call)
    assert isinstance(result, Download), "a route with a media type returns a file"
    return FileResponse(result.parts, name=result.name, media=route.media)


def view_of(routes: Iterable[Route]) -> type[RouteView]:
    """Returns the view class of one path."""
    by_method = {route.method: route for route in routes}
    members: dict[str, Any] = {
        "routes": by_method,
        "http_method_names": [*(method.lower() for method in by_method), "head"],
    }
    for method, route in by_method.items():
        members[method.lower()] = documented(route, _method(route))
    name = "".join(word.capitalize() for word in next(iter(by_method.values())).name.split("_"))
    return type(f"{name}View", (RouteView,), members)


def _method(route: Route) -> Any:
    def respond_to(self: RouteView, request: Request, **params: str) -> HttpResponseBase:
        return self.call(request, params)

    respond_to.__name__ = route.method.lower()
    respond_to.__doc__ = route.summary
    return respond_to


def paths_of(routes: Iterable[Route]) -> dict[str, list[Route]]:
    """Returns the routes by path, in the order of the table."""
    found: dict[str, list[Route]] = defaultdict(list)
    for route in routes:
        found[route.path].append(route)
    return dict(found)
