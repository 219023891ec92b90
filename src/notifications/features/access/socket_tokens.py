"""Authenticates the tokens of many sockets at once, and finds those that have ended.

After a restart thousands of clients come back within seconds. A group costs a few queries, however
many tokens it has; only the signatures are verified one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from directory.models import User
from notifications.domain.callers import TokenOrigin
from notifications.domain.errors import CarillonError
from notifications.features.access.authentication import (
    ACCESS_AUDIENCE,
    CLOCK_SKEW_S,
    KEY_PREFIX,
    Unauthenticated,
    named_user,
    read_origin,
    require_active,
    token_ended,
    verify_claims,
)
from notifications.features.access.service import person_required
from notifications.features.access.sign_in.endings import Endings
from notifications.features.access.sign_in.standing import read_standing

_LONGEST = 8_192
"""The most characters of a token."""


@dataclass(frozen=True, slots=True)
class SocketToken:
    """What is known of a token that opened a socket."""

    user_id: int
    #: When it is refused, in seconds since 1970.
    expires: float
    origin: TokenOrigin


class _Read(NamedTuple):
    claims: dict[str, Any]
    #: The column that names the user, and its value.
    name: tuple[str, Any]


def persons_of_tokens(texts: Sequence[str], *, now: datetime) -> list[SocketToken | CarillonError]:
    """Returns whom JWTs stand for, or why each is refused.

    The errors are those of `authenticate_text`, and Refused with `person_required` for an API key.
    At most six queries.
    """
    read = [_read(text, now) for text in texts]
    users = _users(each.name for each in read if isinstance(each, _Read))
    found = [_token(each, users) for each in read]
    origins = [each.origin for each in found if isinstance(each, SocketToken)]
    endings = Endings(origins, now=now)
    return [
        token_ended() if isinstance(each, SocketToken) and endings.has_ended(each.origin) else each
        for each in found
    ]


def find_ended(tokens: Collection[SocketToken], *, now: datetime) -> set[SocketToken]:
    """Returns the tokens that are refused by now: expired, ended, or of inactive people.

    Each second it is asked about all connections, so one statement reads what could have ended
    any of them.
    """
    if not tokens:
        return set()
    standing = read_standing([each.origin for each in tokens], now=now)
    return {
        each for each in tokens if now.timestamp() >= each.expires or standing.ended(each.origin)
    }


def _read(text: str, now: datetime) -> _Read | CarillonError:
    try:
        if text.startswith(KEY_PREFIX):
            raise person_required()
        if len(text) > _LONGEST:
            raise Unauthenticated("the token is too long", code="invalid_token")
        claims = verify_claims(text, audience=ACCESS_AUDIENCE, now=now)
        return _Read(claims, named_user(claims.get("user_id")))
    except CarillonError as error:
        return error


def _users(names: Any) -> dict[tuple[str, Any], User]:
    by_column: defaultdict[str, set[Any]] = defaultdict(set)
    for column, value in names:
        by_column[column].add(value)
    found: dict[tuple[str, Any], User] = {}
    for column, values in by_column.items():
        rows = User.objects.filter(**{f"{column}__in": values})
        for user in rows.only("id", "uuid", "external_id", "is_active"):
            found[column, getattr(user, column)] = user
    return found


def _token(
    read: _Read | CarillonError, users: dict[tuple[str, Any], User]
) -> SocketToken | CarillonError:
    if isinstance(read, CarillonError):
        return read
    try:
        user = require_active(users.get(read.name))
        origin = read_origin(read.claims, user.pk)
    except CarillonError as error:
        return error
    return SocketToken(user.pk, float(read.claims["exp"]) + CLOCK_SKEW_S, origin)
