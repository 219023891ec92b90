"""The value from which a route's URL, view, OpenAPI operation and line of the docs are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec
from django.http import HttpRequest

from notifications.domain.callers import Caller


class Auth(StrEnum):
    """Who may call a route."""

    PUBLIC = "public"
    CALLER = "caller"  # any user or API key; a route may need a scope, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query parameter."""

    name: str
    about: str
    kind: Literal["string", "integer", "boolean"] = "string"
    default: str | int | bool = ""
    choices: tuple[str, ...] = ()
    #: The lowest and highest value of an integer.
    lowest: int = 0
    highest: int = 1 << 62
    #: The most characters of a string.
    longest: int = 2_000
    #: Whether it must be given; then it has no default.
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request as a handler gets it."""

    caller: Caller
    now: datetime
    params: Mapping[str, str]
    query: Mapping[str, Any]
    #: The decoded JSON object; it is not validated yet.
    body: dict[str, Any]
    http: HttpRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file as a response."""

    #: ASCII without quotes.
    name: str
    #: Made while they are sent. No transaction and no cursor lasts from one part to the next.
    parts: Iterator[bytes]


HandlerResult = msgspec.Struct | Download | tuple[int, msgspec.Struct | None]
Handler = Callable[[ApiRequest], HandlerResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route of the API. `all_errors` adds the errors of authentication, bodies and keys."""

    #: The id of the operation.
    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    #: Begins with a slash and does not end with one; `{id}` matches an integer or a UUID.
    path: str
    handler: Handler
    summary: str
    #: The schema of the body by success status. A handler that returns a bare Struct responds with
    #: the first status.
    responses: Mapping[int, type[msgspec.Struct] | None]
    auth: Auth = Auth.CALLER
    #: The scope that every caller needs.
    scope: str | None = None
    #: The scope that API keys need on a route where users act for themselves.
    service_scope: str | None = None
    #: Whether it is each person's own: users alone may call it, for themselves.
    for_persons: bool = False
    body: type[msgspec.Struct] | None = None
    #: The error statuses of the route's own work.
    errors: tuple[int, ...] = ()
    idempotent: bool = False
    #: The fields of a response that are shown once: a replay by Idempotency-Key has null instead.
    secrets: tuple[str, ...] = ()
    #: Whether the handler decodes the body itself; `body` then only documents it.
    reads_body: bool = False
    #: Whether a vendor calls the route: its query and the size of its body are the vendor's own.
    of_vendor: bool = False
    #: The media type of a file; empty for JSON.
    media: str = ""
    query: tuple[Query, ...] = field(default=())

    @property
    def tag(self) -> str:
        """The first noun of the path, by which the OpenAPI document groups operations."""
        return self.path.removeprefix("/api").removeprefix("/v1").strip("/").split("/")[0]

    @property
    def status(self) -> int:
        """The success status: the first one of `responses`."""
        return next(iter(self.responses))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def all_errors(self) -> tuple[int, ...]:
        """Every error status that this route may return."""
        found = {*self.errors, 500, 503}
        if self.auth is not Auth.PUBLIC:
            found |= {401}
        if self.scope or self.service_scope or self.for_persons:
            found |= {403}
        if self.body or not self.of_vendor:
            found |= {400}
        if self.body:
            found |= {413, 415}
        if self.idempotent:
            found |= {400, 409, 422}
        return tuple(sorted(found - set(self.responses)))
