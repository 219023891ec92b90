"""Who is calling: API keys, JWTs and DRF tokens become one `Caller`. Tokens are issued here."""

from __future__ import annotations

import functools
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
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
REFRESH_AUDIENCE = "carillon:refresh"  # another audience: a refresh token opens no other door
ACCESS_LIFE = timedelta(hours=1)
REFRESH_LIFE = timedelta(days=7)
CLOCK_SKEW_S = 10
_FARTHEST_S = 1e15
USED_EVERY = timedelta(minutes=1)
JWKS_TIMEOUT_S = 3
JWKS_LIFE_S = 300
JWKS_PAUSE_S = 5
ASYMMETRIC = ("RS256", "ES256")
ALL_SCOPES = "*"
EXTERNAL = "ext:"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KINDS = 'user_id: it is our id as a number, a uuid, or "ext:" and the platform\'s external_id'
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


class Unauthenticated(CarillonError):
    """Say who you are: send `Authorization: Bearer <JWT or API key>` or `Token <token>`."""

    code = "not_authenticated"


class KeysUnreachable(CarillonError):
    """The platform's signing keys (CARILLON_JWT_JWKS_URL) cannot be fetched at the moment."""

    code = "keys_unreachable"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login hands out. expires_in: seconds that `access` lives."""

    access: str
    refresh: str
    expires_in: int


def caller_of_user(user: User) -> Caller:
    """A person: may act for themselves; staff hold every scope."""
    return Caller(name=f"user:{user.pk}", user_id=user.pk, owner_id=user.pk, is_staff=user.is_staff)


def caller_of_key(key: ApiKey) -> Caller:
    """A service: may do what its key's scopes say; `*` stands for all of them."""
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


def caller_of_key_text(text: str, *, now: datetime, notes_use: bool = True) -> Caller:
    """The caller whose API key this is: one query, and one write a minute for `last_used_at`, where
    its use is noted.

    Raises:
        Unauthenticated: invalid_api_key, revoked_api_key.
    """
    parts = text.split("_", 3)
    prefix = parts[2] if len(parts) == 4 else ""
    key = ApiKey.objects.of_prefix(prefix) if prefix else None
    known = key.key_hash if key else secret_hash("")
    if not hmac.compare_digest(known, secret_hash(text)) or key is None:
        raise Unauthenticated(
            "this API key is not known: check that it was copied whole", code="invalid_api_key"
        )
    if key.revoked_at is not None:
        raise Unauthenticated("this API key was revoked: use another", code="revoked_api_key")
    if notes_use and (key.last_used_at is None or now - key.last_used_at >= USED_EVERY):
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
    return caller_of_key(key)


def user_of_drf_token(text: str) -> User:
    """The person whose DRF token this is.

    Raises:
        Unauthenticated: invalid_token, inactive_user.
    """
    token = PersonToken.objects.select_related("user").filter(key_hash=secret_hash(text)).first()
    if token is None:
        raise Unauthenticated("this token is not known", code="invalid_token")
    return _active(token.user)


def new_drf_token(user: User) -> str:
    """A token more for a person; those that they have stay good. The text is never seen again."""
    text = secrets.token_hex(20)
    PersonToken.objects.create(user=user, key_hash=secret_hash(text))
    return text


def revoke_drf_tokens(user: User) -> int:
    """Ends all tokens of a person at once; returns how many there were."""
    return PersonToken.objects.filter(user=user).delete()[0]


def user_of_jwt(text: str, *, now: datetime) -> User:
    """The person whom a JWT names by `user_id`: our id as a number, our uuid, or `ext:` and the
    platform's external_id.

    Raises:
        Unauthenticated: invalid_token, expired_token, unknown_user, inactive_user.
        KeysUnreachable: when the platform's key set cannot be fetched.
    """
    claims = _claims(text, audience=ACCESS_AUDIENCE, now=now)
    return _active(_people_named(claims.get("user_id")).first())


def log_in(*, username: str, password: str, address: str = "", now: datetime) -> TokenPair:
    """Exchanges a name and password for tokens. address: the client's, by which failures count.

    Raises:
        Unauthenticated: invalid_credentials (wrong name, wrong password, or inactive alike).
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
    """Exchanges a refresh token for a new pair. A changed password ends all refresh tokens.

    Raises:
        Unauthenticated: invalid_token, expired_token, unknown_user, inactive_user.
    """
    claims = _claims(text, audience=REFRESH_AUDIENCE, now=now)
    user = _active(_people_named(claims.get("user_id")).first())
    if not hmac.compare_digest(str(claims.get("fp", "")), _password_print(user)):
        raise Unauthenticated("the password has changed since: log in again", code="invalid_token")
    return issue_tokens(user, now=now)


def issue_tokens(user: User, *, now: datetime) -> TokenPair:
    """An access and a refresh token of a person."""
    return TokenPair(
        access=issue_access(user, now=now),
        refresh=_sign(user, REFRESH_AUDIENCE, now + REFRESH_LIFE, fp=_password_print(user)),
        expires_in=int(ACCESS_LIFE.total_seconds()),
    )


def issue_access(user: User, *, now: datetime) -> str:
    """A JWT that opens the API for an hour."""
    return _sign(user, ACCESS_AUDIENCE, now + ACCESS_LIFE)


def _sign(user: User, audience: str, expires_at: datetime, **more: str) -> str:
    claims = {"user_id": str(user.uuid), "aud": audience, "exp": int(expires_at.timestamp())}
    return jwt.encode({**claims, **more}, settings.JWT_SECRET, algorithm="HS256")


def _password_print(user: User) -> str:
    """Tells whether the password changed, and tells nothing of it."""
    return salted_hmac("carillon.refresh", user.password, algorithm="sha256").hexdigest()[:16]


def _active(user: User | None) -> User:
    if user is None:
        raise Unauthenticated("the token names nobody whom this service knows", code="unknown_user")
    if not user.is_active:
        raise Unauthenticated("this user is not active", code="inactive_user")
    return user


def _people_named(identifier: object) -> QuerySet[User]:
    """Whom `user_id` means. Each kind is told by its form alone, so that an id of the platform's is
    never taken for one of ours: "7" is nobody's."""
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        return User.objects.filter(pk=identifier if 0 < identifier < 1 << 63 else 0)
    if not isinstance(identifier, str) or not identifier or _UNSTORABLE.search(identifier):
        raise Unauthenticated(f"the token has no usable {_KINDS}", code="invalid_token")
    if _UUID.fullmatch(identifier):
        return User.objects.filter(uuid=UUID(identifier))
    external_id = identifier.removeprefix(EXTERNAL)
    if external_id and external_id != identifier:
        return User.objects.filter(external_id=external_id)
    raise Unauthenticated(f"nobody is known by this {_KINDS}", code="unknown_user")


def _claims(text: str, *, audience: str, now: datetime) -> dict[str, Any]:
    """Verified claims. The algorithm decides the key, never the other way round: HS256 goes with
    the shared secret alone, RS256 and ES256 with published keys alone."""
    try:
        header = jwt.get_unverified_header(text)
        algorithm = header.get("alg")
        claims: dict[str, Any] = jwt.decode(
            text,
            key=_key_for(algorithm, header.get("kid")),
            algorithms=[str(algorithm)],
            audience=audience,
            # The times are checked below, against the service's one clock.
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
    _check_times(claims, now.timestamp())
    return claims


def _check_times(claims: dict[str, Any], now: float) -> None:
    expires, begins = claims["exp"], claims.get("nbf", 0)
    for moment in (expires, begins):
        if isinstance(moment, bool) or not isinstance(moment, int | float) or not _is_time(moment):
            raise Unauthenticated("exp and nbf must be numbers of seconds", code="invalid_token")
    if now >= expires + CLOCK_SKEW_S:
        raise Unauthenticated("the token has expired: get a new one", code="expired_token")
    if now < begins - CLOCK_SKEW_S:
        raise Unauthenticated("the token is not valid yet", code="invalid_token")


def _is_time(moment: float) -> bool:
    """Whether it can be a time: neither NaN, which is never past, nor without an end."""
    return -_FARTHEST_S < moment < _FARTHEST_S


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

    An unknown key id refetches them twice a minute at most (PyJWKClient's cooldown), so that
    made-up ids do not turn into requests; after a failed fetch nobody waits for the next at once.
    """

    def __init__(self, url: str) -> None:
        self._client = PyJWKClient(url, lifespan=JWKS_LIFE_S, timeout=JWKS_TIMEOUT_S)
        self._failed_at = float("-inf")

    def find(self, kid: str, algorithm: str) -> PyJWK:
        """The key with this id, if it is of this algorithm.

        Raises:
            KeysUnreachable: the set cannot be fetched.
            jwt.InvalidKeyError: there is no such key in it.
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
            raise jwt.InvalidKeyError("the published key is of another algorithm")
        return key
