"""What a route is: the one value from which URL, view, OpenAPI operation and docs line are made."""

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
    """Who may knock."""

    PUBLIC = "public"
    CALLER = "caller"  # any user or API key; scopes may ask for more


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query parameter. Only integers have a lowest and highest value.

    longest: characters of a text. required: there is no default.
    """

    name: str
    about: str
    kind: Literal["string", "integer", "boolean"] = "string"
    default: str | int | bool = ""
    choices: tuple[str, ...] = ()
    lowest: int = 0
    highest: int = 1 << 62
    longest: int = 2_000
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """What a handler is given. body is a decoded JSON object, not yet validated."""

    caller: Caller
    now: datetime
    params: Mapping[str, str]
    query: Mapping[str, Any]
    body: dict[str, Any]
    http: HttpRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file for an answer. name is ASCII without quotes; parts are made while they are read, and
    each stands for itself: no transaction and no cursor goes from one to the next."""

    name: str
    parts: Iterator[bytes]


HandlerResult = msgspec.Struct | Download | tuple[int, msgspec.Struct | None]
Handler = Callable[[ApiRequest], HandlerResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One call of the API.

    name is the operation's id. path begins with a slash and does not end with one; `{id}` takes
    an integer or a UUID. scope is what every caller needs; service_scope what API keys need where
    people may act for themselves. responses maps each success status to the shape of its body; a
    handler that returns a bare Struct responds with the first of them. errors are the statuses that
    the work itself can end with; secrets the fields of a response that are shown once: a repetition
    by Idempotency-Key has null in their place; reads_body that the handler decodes the body itself,
    which `body` only documents; of_vendor that a vendor calls, whose query and size of body are
    its own; media the type of what is downloaded, where the answer is no JSON. Errors of
    authentication, bodies and keys come by `all_errors`.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    summary: str
    responses: Mapping[int, type[msgspec.Struct] | None]
    auth: Auth = Auth.CALLER
    scope: str | None = None
    service_scope: str | None = None
    body: type[msgspec.Struct] | None = None
    errors: tuple[int, ...] = ()
    idempotent: bool = False
    secrets: tuple[str, ...] = ()
    reads_body: bool = False
    of_vendor: bool = False
    media: str = ""
    query: tuple[Query, ...] = field(default=())

    @property
    def tag(self) -> str:
        """The part of the API that the route belongs to: the first noun of its path."""
        return self.path.removeprefix("/api").removeprefix("/v1").strip("/").split("/")[0]

    @property
    def status(self) -> int:
        """The success status, the first that is declared."""
        return next(iter(self.responses))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def all_errors(self) -> tuple[int, ...]:
        """Every status of a problem that this route may answer with."""
        found = {*self.errors, 500, 503}
        if self.auth is not Auth.PUBLIC:
            found |= {401}
        if self.scope or self.service_scope:
            found |= {403}
        if self.body or not self.of_vendor:
            found |= {400}
        if self.body:
            found |= {413, 415}
        if self.idempotent:
            found |= {400, 409, 422}
        return tuple(sorted(found - set(self.responses)))
