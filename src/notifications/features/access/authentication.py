"""Turns API keys, JWTs and DRF tokens into a `Caller`, and issues tokens."""

from __future__ import annotations

import functools
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import jwt
from django.conf import settings
from django.contrib.auth import authenticate
from django.db.models import Q, QuerySet
from django.utils.crypto import salted_hmac
from jwt import PyJWK, PyJWKClient
from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import CarillonError
from notifications.features.access.throttles import guard_sign_in
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.crypto import secret_hash
from notifications.models import SCOPES, ApiKey, PersonToken

ACCESS_AUDIENCE = "carillon"
REFRESH_AUDIENCE = "carillon:refresh"  # a refresh token is valid for no other route
ACCESS_LIFE = timedelta(hours=1)
REFRESH_LIFE = timedelta(days=7)
CLOCK_SKEW_S = 10
_LATEST_S = 1e15
LAST_USED_STEP = timedelta(minutes=1)
JWKS_TIMEOUT_S = 3
JWKS_LIFE_S = 300
JWKS_PAUSE_S = 5
ASYMMETRIC = ("RS256", "ES256")
ALL_SCOPES = "*"
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


class KeysUnreachable(CarillonError):
    """The platform's signing keys (CARILLON_JWT_JWKS_URL) cannot be fetched at the moment."""

    code = "keys_unreachable"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens that a login returns."""

    access: str
    refresh: str
    #: Lifetime of `access`, in seconds.
    expires_in: int


def caller_of_user(user: User) -> Caller:
    """Returns the caller for a user: acts for themselves; staff have every scope."""
    return Caller(name=f"user:{user.pk}", user_id=user.pk, owner_id=user.pk, is_staff=user.is_staff)


def caller_of_key(key: ApiKey) -> Caller:
    """Returns the caller for a service key: has the key's scopes; `*` means all scopes."""
    scopes = frozenset(key.scopes)
    if ALL_SCOPES in scopes:
        scopes |= frozenset(SCOPES)
    return Caller(
        name=f"key:{key.pk}",
        owner_id=key.owner_id,
        is_service=True,
        is_test=key.kind == ApiKey.Kind.TEST,
        scopes=scopes,
    )


def key_of_text(text: str, *, now: datetime, records_use: bool = True) -> ApiKey:
    """Returns the caller of an API key. Makes one query.

    With `records_use` it also writes `last_used_at`, at most once a minute.

    Raises:
        Unauthenticated: invalid_api_key, revoked_api_key.
    """
    parts = text.split("_", 3)
    prefix = parts[2] if len(parts) == 4 else ""
    key = ApiKey.objects.of_prefix(prefix) if prefix else None
    known = key.key_hash if key else secret_hash("")
    if not hmac.compare_digest(known, secret_hash(text)) or key is None:
        raise Unauthenticated(
            "this API key is unknown: check that you copied the whole key", code="invalid_api_key"
        )
    if key.revoked_at is not None:
        raise Unauthenticated("this API key was revoked: use another", code="revoked_api_key")
    if records_use and (key.last_used_at is None or now - key.last_used_at >= LAST_USED_STEP):
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - LAST_USED_STEP)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
    return key


def user_of_drf_token(text: str) -> User:
    """Returns the user of a DRF token.

    Raises:
        Unauthenticated: invalid_token, inactive_user.
    """
    token = PersonToken.objects.select_related("user").filter(key_hash=secret_hash(text)).first()
    if token is None:
        raise Unauthenticated("this token is unknown", code="invalid_token")
    return _require_active(token.user)


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


def authenticate_text(scheme: str, text: str, *, now: datetime, records_use: bool) -> Authenticated:
    """Authenticates `<scheme> <text>` of an Authorization header. scheme is in lower case.

    Raises:
        Unauthenticated: invalid_api_key, revoked_api_key, invalid_token, expired_token,
            unknown_user, inactive_user.
        KeysUnreachable: when the platform's key set cannot be fetched.
    """
    if scheme == "bearer" and text.startswith(KEY_PREFIX):
        key = key_of_text(text, now=now, records_use=records_use)
        return Authenticated("key", key.pk, key.key_hash, None, caller_of_key(key))
    if scheme == "bearer" and "." in text:
        claims = _verify_claims(text, audience=ACCESS_AUDIENCE, now=now)
        name = claims.get("user_id")
        user = _require_active(_find_users(name).first())
        times = (claims["exp"], claims.get("nbf", 0))
        return Authenticated("jwt", user.pk, _normal_name(name), user, caller_of_user(user), times)
    if scheme in ("token", "bearer"):  # a token without dots is no JWT, whatever its scheme
        user = user_of_drf_token(text)
        return Authenticated("token", secret_hash(text), None, user, caller_of_user(user))
    raise Unauthenticated(
        "the scheme must be Bearer or Token, not what was sent", code="invalid_token"
    )


def _normal_name(name: object) -> object:
    """The one spelling of a `user_id` claim: UUIDs are written in many ways."""
    return str(UUID(name)) if isinstance(name, str) and _UUID.fullmatch(name) else name


def log_in(*, username: str, password: str, address: str = "", now: datetime) -> TokenPair:
    """Exchanges a name and password for tokens. address: the client's; failures count by it.

    Raises:
        Unauthenticated: invalid_credentials (wrong name, wrong password or inactive user).
        Throttled: too many sign-ins failed.
    """
    user = guard_sign_in(
        lambda: authenticate(username=username, password=password),
        address=address,
        name=username,
        now=now,
    )
    if not isinstance(user, User):
        raise Unauthenticated(
            "no active user has this name and password", code="invalid_credentials"
        )
    return issue_tokens(user, now=now)


def refresh_tokens(text: str, *, now: datetime) -> TokenPair:
    """Exchanges a refresh token for a new pair. A password change ends all refresh tokens.

    Raises:
        Unauthenticated: invalid_token, expired_token, unknown_user, inactive_user.
    """
    claims = _verify_claims(text, audience=REFRESH_AUDIENCE, now=now)
    user = _require_active(_find_users(claims.get("user_id")).first())
    if not hmac.compare_digest(str(claims.get("fp", "")), _password_fingerprint(user)):
        raise Unauthenticated("the password has changed since: log in again", code="invalid_token")
    return issue_tokens(user, now=now)


def issue_tokens(user: User, *, now: datetime) -> TokenPair:
    """Returns an access token and a refresh token for a user."""
    return TokenPair(
        access=issue_access(user, now=now),
        refresh=_sign(user, REFRESH_AUDIENCE, now + REFRESH_LIFE, fp=_password_fingerprint(user)),
        expires_in=int(ACCESS_LIFE.total_seconds()),
    )


def issue_access(user: User, *, now: datetime) -> str:
    """Returns a JWT that is valid for an hour."""
    return _sign(user, ACCESS_AUDIENCE, now + ACCESS_LIFE)


def _sign(user: User, audience: str, expires_at: datetime, **more: str) -> str:
    claims = {"user_id": str(user.uuid), "aud": audience, "exp": int(expires_at.timestamp())}
    return jwt.encode({**claims, **more}, settings.JWT_SECRET, algorithm="HS256")


def _password_fingerprint(user: User) -> str:
    """Returns a text that changes with the password and reveals nothing about it."""
    return salted_hmac("carillon.refresh", user.password, algorithm="sha256").hexdigest()[:16]


def _require_active(user: User | None) -> User:
    if user is None:
        raise Unauthenticated("the token names no user of this service", code="unknown_user")
    if not user.is_active:
        raise Unauthenticated("this user is not active", code="inactive_user")
    return user


def _find_users(identifier: object) -> QuerySet[User]:
    """Returns the users that `user_id` names.

    The form alone decides the kind of id, so a platform's id is never taken for ours: the text "7"
    names no user.
    """
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        return User.objects.filter(pk=identifier if 0 < identifier < 1 << 63 else 0)
    if not isinstance(identifier, str) or not identifier or _UNSTORABLE.search(identifier):
        raise Unauthenticated(f"the token has no usable {_ACCEPTED_IDS}", code="invalid_token")
    if _UUID.fullmatch(identifier):
        return User.objects.filter(uuid=UUID(identifier))
    external_id = identifier.removeprefix(EXTERNAL)
    if external_id and external_id != identifier:
        return User.objects.filter(external_id=external_id)
    raise Unauthenticated(f"no user has this {_ACCEPTED_IDS}", code="unknown_user")


def _verify_claims(text: str, *, audience: str, now: datetime) -> dict[str, Any]:
    """Returns the verified claims.

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
        return _key_set(url).find(kid, str(algorithm))
    raise jwt.InvalidAlgorithmError(f"algorithm {algorithm} is not accepted here")


@functools.cache
def _key_set(url: str) -> KeySet:
    return KeySet(url)


class KeySet:
    """The platform's published keys, cached for five minutes.

    An unknown key id fetches them again at most twice a minute (PyJWKClient's cooldown), so that
    invented ids do not cause requests. After a failed fetch, calls fail at once for five seconds.
    """

    def __init__(self, url: str) -> None:
        self._client = PyJWKClient(url, lifespan=JWKS_LIFE_S, timeout=JWKS_TIMEOUT_S)
        self._failed_at = float("-inf")

    def find(self, kid: str, algorithm: str) -> PyJWK:
        """Returns the key with this id, if it has this algorithm.

        Raises:
            KeysUnreachable: the keys cannot be fetched.
            jwt.InvalidKeyError: there is no such key.
        """
        if clock.monotonic() - self._failed_at < JWKS_PAUSE_S:
            raise KeysUnreachable(retry_after=JWKS_PAUSE_S)
        try:
            key = self._client.get_signing_key(kid)
        except PyJWKClientConnectionError as error:
            self._failed_at = clock.monotonic()
            raise KeysUnreachable(retry_after=JWKS_PAUSE_S) from error
        except PyJWKClientError as error:
            raise jwt.InvalidKeyError("no published key has this id") from error
        if key.algorithm_name != algorithm:
            raise jwt.InvalidKeyError("the published key has another algorithm")
        return key
