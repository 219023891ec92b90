"""Who knocks: the Authorization header becomes a `Caller`."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from directory.models import User
from notifications.domain.callers import Caller
from notifications.features.access.authentication import (
    Unauthenticated,
    caller_of_key_text,
    caller_of_user,
    user_of_drf_token,
    user_of_jwt,
)
from notifications.infra import clock

KEY_PREFIX = "ck_"


class Service(AnonymousUser):
    """`request.user` of a request that came with an API key: nobody in particular, but known."""

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
    """`Bearer <JWT>`, `Bearer ck_live_...` and `Token <token>`. request.auth is the Caller.

    records_use: whether a key's `last_used_at` is written, which waits for the database.
    """

    records_use = True

    def authenticate(self, request: Request) -> tuple[User | Service, Caller] | None:
        """The caller; None without a header. Raises Unauthenticated for a bad one."""
        header = get_authorization_header(request)
        if not header:
            return None
        try:
            scheme, token = header.decode("ascii").split()
            if not token.isprintable():  # NUL, which no database takes
                raise ValueError("a control character")
        except ValueError as error:  # not two words, or not ASCII
            raise Unauthenticated(
                "Authorization must be `Bearer <JWT or API key>` or `Token <token>`",
                code="invalid_token",
            ) from error
        return self._resolve(scheme.lower(), token)

    def _resolve(self, scheme: str, token: str) -> tuple[User | Service, Caller]:
        if scheme == "bearer" and token.startswith(KEY_PREFIX):
            caller = caller_of_key_text(token, now=clock.now(), records_use=self.records_use)
            return Service(caller), caller
        if scheme == "bearer" and "." in token:
            user = user_of_jwt(token, now=clock.now())
        elif scheme in ("token", "bearer"):  # a token without dots is no JWT, whatever its scheme
            user = user_of_drf_token(token)
        else:
            raise Unauthenticated(
                "the scheme must be Bearer or Token, not what was sent", code="invalid_token"
            )
        return user, caller_of_user(user)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def caller_of(request: Request) -> Caller:
    """The caller of a request, however it was authenticated (also by a test's force_authenticate).

    Raises:
        Unauthenticated: when nobody is.
    """
    user = request.user
    if isinstance(request.auth, Caller):
        return request.auth
    if isinstance(user, User) and user.is_authenticated:
        return caller_of_user(user)
    raise Unauthenticated()
