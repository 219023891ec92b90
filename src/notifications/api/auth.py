"""Turns the Authorization header into a `Caller`."""

from __future__ import annotations

from functools import partial

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from directory.models import User
from notifications.domain.callers import Caller
from notifications.features.access.authentication import (
    Unauthenticated,
    authenticate_text,
)
from notifications.features.access.callers import CACHE, checked_address
from notifications.features.access.principals import caller_of_user
from notifications.infra import clock
from notifications.infra.http.client_address import address_of


class Service(AnonymousUser):
    """`request.user` of a request with an API key: authenticated, but not a user."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def __str__(self) -> str:
        return self.caller.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Service) and other.caller == self.caller

    def __hash__(self) -> int:
        return hash(self.caller)

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]  # the base says False for ever
        return True

    @property
    def is_anonymous(self) -> bool:  # type: ignore[override]
        return False


class CarillonAuthentication(BaseAuthentication):
    """`Bearer <JWT>`, `Bearer ck_live_...` and `Token <token>`. request.auth is the Caller."""

    #: Whether a key's `last_used_at` is written, which waits for the database.
    records_use = True

    def authenticate(self, request: Request) -> tuple[User | Service, Caller] | None:
        """Returns the user and the caller; None without a header.

        Raises:
            Unauthenticated: the header is wrong.
        """
        words = words_of(get_authorization_header(request))
        if words is None:
            return None
        found = authenticate_text(*words, now=clock.now(), records_use=self.records_use)
        caller = checked_address(found.caller, partial(address_of, request._request))
        return found.user or Service(caller), caller

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def words_of(header: bytes) -> tuple[str, str] | None:
    """Returns the scheme, in lower case, and the text of an Authorization header; None if empty.

    Raises:
        Unauthenticated: invalid_token, when it is not two words of printable ASCII.
    """
    if not header:
        return None
    try:
        scheme, text = header.decode("ascii").split()
        if not text.isprintable():  # NUL, which no database accepts
            raise ValueError("a control character")
    except ValueError as error:  # not two words, or not ASCII
        raise Unauthenticated(
            "Authorization must be `Bearer <JWT or API key>` or `Token <token>`",
            code="invalid_token",
        ) from error
    return scheme.lower(), text


def caller_of(request: Request) -> Caller:
    """Returns the caller of a request. A test's force_authenticate counts, too.

    Raises:
        Unauthenticated: when the request names no caller.
    """
    words = words_of(get_authorization_header(request))
    if words is not None:
        caller = CACHE.find(*words)
        request._request.user = Service(caller)  # the log of refusals names it
        return checked_address(caller, partial(address_of, request._request))
    user = request.user
    if isinstance(request.auth, Caller):
        return request.auth
    if isinstance(user, User) and user.is_authenticated:
        return caller_of_user(user)
    raise Unauthenticated()
