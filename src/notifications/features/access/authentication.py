"""Turns API keys, JWTs and DRF tokens into a `Caller`, and issues tokens."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import jwt
from django.conf import settings
from django.db.models import QuerySet
from jwt import PyJWK

from directory.models import User
from notifications.domain.callers import Caller, TokenOrigin
from notifications.domain.errors import CarillonError
from notifications.features.access.platform_keys import key_set
from notifications.features.access.principals import caller_of_key, caller_of_user
from notifications.features.access.sign_in.endings import Endings
from notifications.infra.conf import environment
from notifications.infra.crypto import secret_hash
from notifications.models import ApiKey, PersonToken

ACCESS_AUDIENCE = "carillon"
REFRESH_AUDIENCE = "carillon:refresh"  # a refresh token is valid for no other route
ACCESS_LIFE = timedelta(hours=1)
FAMILY_CLAIM = "carillon_sign_in"
CLOCK_SKEW_S = 10
_LATEST_S = 1e15
LAST_USED_STEP = timedelta(minutes=1)
ASYMMETRIC = ("RS256", "ES256")
EXTERNAL = "ext:"
KEY_PREFIX = "ck_"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ACCEPTED_IDS = (
    'user_id: it is our id as a number, a uuid, or "ext:" and the platform\'s external_id'
)
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


class Unauthenticated(CarillonError):
    """Authenticate: send `Authorization: Bearer <JWT or API key>` or `Token <token>`."""

    code = "not_authenticated"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens that a login returns."""

    access: str
    refresh: str
    #: Lifetime of `access`, in seconds.
    expires_in: int


def key_of_text(text: str, *, now: datetime, records_use: bool = True) -> ApiKey:
    """Returns the key that has this text, or had it before a rotation with overlap.

    Makes one query. With `records_use` it also writes when the text was used, at most once a
    minute.

    Raises:
        Unauthenticated: invalid_api_key, revoked_api_key.
    """
    parts = text.split("_", 3)
    prefix = parts[2] if len(parts) == 4 else ""
    key = ApiKey.objects.of_prefix(prefix) if prefix else None
    is_previous = key is not None and key.previous_prefix == prefix
    known = (key.previous_hash if is_previous else key.key_hash) if key else secret_hash("")
    if not hmac.compare_digest(known, secret_hash(text)) or key is None:
        raise Unauthenticated(
            "this API key is unknown: check that you copied the whole key", code="invalid_api_key"
        )
    if key.revoked_at is not None:
        raise Unauthenticated("this API key was revoked: use another", code="revoked_api_key")
    if is_previous and not key.accepts_previous(now):
        raise Unauthenticated("this API key was rotated: use its new text", code="revoked_api_key")
    if records_use:
        key.record_use(now, step=LAST_USED_STEP, is_previous=is_previous)
    return key


def user_of_drf_token(text: str) -> User:
    """Returns the user of a DRF token.

    Raises:
        Unauthenticated: invalid_token, inactive_user.
    """
    token = PersonToken.objects.select_related("user").filter(key_hash=secret_hash(text)).first()
    if token is None:
        raise Unauthenticated("this token is unknown", code="invalid_token")
    return require_active(token.user)


def new_drf_token(user: User) -> str:
    """Creates another token for a user and returns its text, which is not stored."""
    text = secrets.token_hex(20)
    PersonToken.objects.create(user=user, key_hash=secret_hash(text))
    return text


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who an Authorization header stands for, and what to read to learn whether it still does."""

    kind: Literal["key", "token", "jwt"]
    #: The primary key of the API key or user, or the hash of the token.
    row: int | str
    #: What the row must still say: the hash of an API key, the name of the user in a JWT.
    proof: object
    user: User | None
    caller: Caller
    #: `exp` and `nbf` of a JWT, in seconds since 1970.
    times: tuple[float, float] | None = None
    #: How a JWT was issued.
    origin: TokenOrigin | None = None


def authenticate_text(scheme: str, text: str, *, now: datetime, records_use: bool) -> Authenticated:
    """Authenticates `<scheme> <text>` of an Authorization header. scheme is in lower case.

    Raises:
        Unauthenticated: invalid_api_key, revoked_api_key, invalid_token, expired_token,
            unknown_user, inactive_user.
        KeysUnreachable: when the platform's key set cannot be fetched.
    """
    if scheme == "bearer" and text.startswith(KEY_PREFIX):
        key = key_of_text(text, now=now, records_use=records_use)
        return Authenticated("key", key.pk, secret_hash(text), None, caller_of_key(key))
    if scheme == "bearer" and "." in text:
        claims = verify_claims(text, audience=ACCESS_AUDIENCE, now=now)
        user = active_user_of(claims)
        origin = _origin_of(claims, user, now=now)
        times = (claims["exp"], claims.get("nbf", 0))
        name = _normal_name(claims["user_id"])
        caller = replace(caller_of_user(user), origin=origin)
        return Authenticated("jwt", user.pk, name, user, caller, times, origin)
    if scheme in ("token", "bearer"):  # a token without dots is no JWT, whatever its scheme
        user = user_of_drf_token(text)
        key_hash = secret_hash(text)
        caller = replace(caller_of_user(user), origin=stored_origin(user.pk, key_hash))
        return Authenticated("token", key_hash, None, user, caller)
    raise Unauthenticated(
        "the scheme must be Bearer or Token, not what was sent", code="invalid_token"
    )


def _normal_name(name: object) -> object:
    """The one spelling of a `user_id` claim: UUIDs are written in many ways."""
    return str(UUID(name)) if isinstance(name, str) and _UUID.fullmatch(name) else name


def issue_access(user: User, *, now: datetime, family: int | None = None) -> str:
    """Returns a JWT that is valid for an hour, or until its family ends."""
    more = {} if family is None else {FAMILY_CLAIM: family}
    return sign_token(user, ACCESS_AUDIENCE, now=now, expires_at=now + ACCESS_LIFE, **more)


def sign_token(
    user: User, audience: str, *, now: datetime, expires_at: datetime, **more: int
) -> str:
    """Returns a JWT of this service. more: further claims."""
    claims: dict[str, Any] = {
        "user_id": str(user.uuid),
        "aud": audience,
        "iat": round(now.timestamp(), 3),
        "exp": int(expires_at.timestamp()),
    }
    return jwt.encode({**claims, **more}, settings.JWT_SECRET, algorithm="HS256")


def _origin_of(claims: dict[str, Any], user: User, *, now: datetime) -> TokenOrigin:
    """Returns how a JWT was issued, where it has not ended.

    Raises:
        Unauthenticated: invalid_token.
    """
    origin = read_origin(claims, user.pk)
    if Endings([origin], now=now).has_ended(origin):
        raise token_ended()
    return origin


def read_origin(claims: dict[str, Any], user_id: int) -> TokenOrigin:
    """Returns how a JWT says that it was issued.

    Raises:
        Unauthenticated: invalid_token.
    """
    family = claims.get(FAMILY_CLAIM)
    if family is not None and (type(family) is not int or not 0 < family < 1 << 63):
        raise Unauthenticated("the token names no sign-in of this service", code="invalid_token")
    return TokenOrigin(user_id, _time_of(claims.get("iat")), family)


def stored_origin(user_id: int, key_hash: str) -> TokenOrigin:
    """Returns the origin of a stored token. What it issues ends with its row."""
    return TokenOrigin(user_id, None, None, key_hash)


def token_ended() -> Unauthenticated:
    """Returns the error of a token that has ended, although its time is not over."""
    return Unauthenticated(
        "this token was ended before its time: sign in again. A token of the platform needs"
        " `iat`, and a later one",
        code="invalid_token",
    )


def _time_of(claim: object) -> float | None:
    """Returns a claim as a number of seconds; None where it is none."""
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        return None
    return float(claim) if _is_time(claim) else None


def active_user_of(claims: dict[str, Any]) -> User:
    """Returns the user whom verified claims name.

    Raises:
        Unauthenticated: invalid_token, unknown_user, inactive_user.
    """
    return require_active(_find_users(claims.get("user_id")).first())


def require_active(user: User | None) -> User:
    """Returns the user.

    Raises:
        Unauthenticated: unknown_user, inactive_user.
    """
    if user is None:
        raise Unauthenticated("the token names no user of this service", code="unknown_user")
    if not user.is_active:
        raise Unauthenticated("this user is not active", code="inactive_user")
    return user


def _find_users(identifier: object) -> QuerySet[User]:
    field, value = named_user(identifier)
    return User.objects.filter(**{field: value})


def named_user(identifier: object) -> tuple[str, Any]:
    """Returns the column that a `user_id` claim is a value of, and the value.

    The form alone decides the kind of id, so a platform's id is never taken for ours: the text "7"
    names no user.

    Raises:
        Unauthenticated: invalid_token, unknown_user.
    """
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        return "pk", identifier if 0 < identifier < 1 << 63 else 0
    if not isinstance(identifier, str) or not identifier or _UNSTORABLE.search(identifier):
        raise Unauthenticated(f"the token has no usable {_ACCEPTED_IDS}", code="invalid_token")
    if _UUID.fullmatch(identifier):
        return "uuid", UUID(identifier)
    external_id = identifier.removeprefix(EXTERNAL)
    if external_id and external_id != identifier:
        return "external_id", external_id
    raise Unauthenticated(f"no user has this {_ACCEPTED_IDS}", code="unknown_user")


def verify_claims(text: str, *, audience: str, now: datetime) -> dict[str, Any]:
    """Returns the verified claims of a JWT.

    The algorithm decides the key, never the reverse: HS256 is checked with the shared secret only,
    RS256 and ES256 with published keys only.
    """
    try:
        header = jwt.get_unverified_header(text)
        algorithm = header.get("alg")
        claims: dict[str, Any] = jwt.decode(
            text,
            key=_key_for(algorithm, header.get("kid")),
            algorithms=[str(algorithm)],
            audience=audience,
            # _check_times checks the times, by the clock of the service.
            options={
                "require": ["exp", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except jwt.InvalidAudienceError as error:
        raise Unauthenticated(
            f"the token's aud must be {audience}", code="invalid_token"
        ) from error
    except (jwt.PyJWTError, ValueError) as error:
        raise Unauthenticated(
            "this is not a valid token of this service", code="invalid_token"
        ) from error
    check_times(claims["exp"], claims.get("nbf", 0), now=now.timestamp())
    return claims


def check_times(expires: Any, begins: Any, *, now: float) -> None:
    """Checks `exp` and `nbf` of a JWT against the time, in seconds since 1970.

    Raises:
        Unauthenticated: expired_token, invalid_token.
    """
    for moment in (expires, begins):
        if isinstance(moment, bool) or not isinstance(moment, int | float) or not _is_time(moment):
            raise Unauthenticated("exp and nbf must be numbers of seconds", code="invalid_token")
    if now >= expires + CLOCK_SKEW_S:
        raise Unauthenticated("the token has expired: get a new one", code="expired_token")
    if now < begins - CLOCK_SKEW_S:
        raise Unauthenticated("the token is not valid yet", code="invalid_token")


def _is_time(moment: float) -> bool:
    """Returns whether a number can be a time: neither NaN, which never expires, nor infinite."""
    return -_LATEST_S < moment < _LATEST_S


def _key_for(algorithm: object, kid: object) -> str | PyJWK:
    url = environment().jwt_jwks_url
    if algorithm == "HS256":
        return str(settings.JWT_SECRET)
    if algorithm in ASYMMETRIC and url and isinstance(kid, str):
        return key_set(url).find(kid, str(algorithm))
    raise jwt.InvalidAlgorithmError(f"algorithm {algorithm} is not accepted here")
