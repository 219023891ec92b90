"""Issues and renews tokens. All tokens of one sign-in are a family, which ends as a whole.

A refresh token is exchanged once. The one before the present one is accepted for ten seconds more,
because an answer may be lost on its way; a thief who is as fast gets the same tokens as the person.
Any older one is a stolen copy, or the person's own after a thief used it: it ends the family.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog
from django.contrib.auth import authenticate
from django.db import transaction

from directory.models import User
from notifications.domain.errors import Refused
from notifications.features.access.authentication import (
    ACCESS_LIFE,
    FAMILY_CLAIM,
    REFRESH_AUDIENCE,
    TokenPair,
    Unauthenticated,
    active_user_of,
    issue_access,
    sign_token,
    verify_claims,
)
from notifications.features.access.callers import forget_callers
from notifications.features.access.sign_in.rules import (
    SIGN_IN_PAGE,
    has_second_factor,
    is_second_factor,
    may_renew,
    may_use,
    must_have_second_factor,
    note_sign_in,
)
from notifications.features.access.sign_in.sign_ins import (
    Kind,
    Method,
    begin_sign_in,
    password_mark,
)
from notifications.features.access.throttles import guard_code, guard_sign_in
from notifications.infra.conf import environment
from notifications.models import SignIn
from notifications.models.audit.actions import record_action

GENERATION_CLAIM = "generation"
REFRESH_LIFE = timedelta(days=7)
FAMILY_LIFE = timedelta(days=90)
"""A family ends so long after its sign-in, however often it was renewed."""
REPEATABLE = timedelta(seconds=10)
"""So long the refresh token before the present one is accepted."""
_ROUNDING_S = 0.001
"""`iat` is rounded to milliseconds."""
log = structlog.get_logger("carillon.security")


class _Known(NamedTuple):
    """Whose name and password are right."""

    user: User
    #: Whether the person has a second factor.
    needed: bool
    #: Whether its code was right.
    verified: bool


def log_in(
    *, username: str, password: str, code: str = "", address: str = "", now: datetime
) -> TokenPair:
    """Exchanges a name and password for tokens. A person with a second factor needs its code.

    Args:
        code: of the authenticator app, or a recovery code.
        address: the client's; failures count by it, wrong codes too.

    Raises:
        Unauthenticated: invalid_credentials (wrong name, password or code, or inactive user),
            second_factor_required.
        Refused: single_sign_on_required, second_factor_missing.
        Throttled: too many sign-ins failed.
    """

    def attempt() -> User | None:
        found = authenticate(username=username, password=password)
        return found if isinstance(found, User) else None

    user = guard_sign_in(attempt, address=address, name=username, now=now)
    known = None if user is None else _checked_code(user, code, address=address, now=now)
    if known is None:
        or_code = ", or the code is wrong" if code else ""
        raise Unauthenticated(
            f"no active user has this name and password{or_code}", code="invalid_credentials"
        )
    _check_rules(known)
    user = known.user
    with transaction.atomic():
        note_sign_in(user, Method.PASSWORD)
        if user.staff_role:
            _record_sign_in(user, now=now)
        return issue_tokens(user, now=now, second_factor=known.verified)


def _checked_code(user: User, code: str, *, address: str, now: datetime) -> _Known | None:
    """Returns what is known of a person whose password is right; None where the code is wrong.

    Wrong codes count by themselves: the right password before each must not forgive them.
    """
    needed = has_second_factor(user)
    if not needed or not code:
        return _Known(user, needed, verified=False)

    def attempt() -> _Known | None:
        return _Known(user, needed, verified=True) if is_second_factor(user, code) else None

    return guard_code(attempt, address=address, person=user.pk, now=now)


def _record_sign_in(user: User, *, now: datetime) -> None:
    record_action(
        actor=f"user:{user.pk}",
        action="sign-in.began",
        target=f"user:{user.pk}",
        at=now,
        subject_id=user.pk,
        after={"kind": str(Kind.TOKENS), "method": str(Method.PASSWORD)},
    )


def _check_rules(known: _Known) -> None:
    user = known.user
    page = f"{environment().public_url}{SIGN_IN_PAGE}"
    if user.staff_role and not may_use(user, Method.PASSWORD):
        raise Refused(
            f"staff sign in by single sign-on: open {page}, and create a token there",
            code="single_sign_on_required",
        )
    if known.needed and not known.verified:
        raise Unauthenticated(
            "send `code`, too: the code of the authenticator app, or a recovery code; with a"
            f" passkey, sign in at {page}",
            code="second_factor_required",
        )
    if not known.needed and must_have_second_factor(user):
        raise Refused(
            f"staff need a second factor: sign in at {page}, and set one up",
            code="second_factor_missing",
        )


def issue_tokens(
    user: User,
    *,
    now: datetime,
    method: str = Method.PASSWORD,
    second_factor: bool = False,
) -> TokenPair:
    """Begins a family, and returns its first access token and refresh token."""
    family = begin_sign_in(
        user,
        kind=Kind.TOKENS,
        method=method,
        second_factor=second_factor,
        now=now,
        lasts=REFRESH_LIFE,
    )
    return _pair(family, user, now=now)


def refresh_tokens(text: str, *, now: datetime) -> TokenPair:
    """Exchanges a refresh token for a new pair.

    Raises:
        Unauthenticated: invalid_token, expired_token, unknown_user, inactive_user,
            refresh_token_reused, which ends the family.
    """
    claims = verify_claims(text, audience=REFRESH_AUDIENCE, now=now)
    user = active_user_of(claims)
    family, generation = _numbers(claims)
    with transaction.atomic():
        row = SignIn.objects.locked(family, now)
        if row is None or not _is_of(row, user, claims) or not _is_valid(row, user):
            raise Unauthenticated(
                "this sign-in has ended, or the password has changed since: log in again",
                code="invalid_token",
            )
        is_reused = not _accepts(row, generation, now)
        if is_reused:
            _end_reused(row, now)
        else:
            _renew(row, generation, now)
    if is_reused:
        raise Unauthenticated(
            "this refresh token was exchanged before, so the sign-in was ended: log in again",
            code="refresh_token_reused",
        )
    return _pair(row, user, now=now)


def _numbers(claims: dict[str, Any]) -> tuple[int, int]:
    """Returns the family and the generation of a refresh token."""
    family, generation = claims.get(FAMILY_CLAIM), claims.get(GENERATION_CLAIM)
    if type(family) is not int or type(generation) is not int or not 0 < family < 1 << 63:
        raise Unauthenticated(
            "this refresh token is of an older release: log in again", code="invalid_token"
        )
    return family, generation


def _is_of(row: SignIn, user: User, claims: dict[str, Any]) -> bool:
    """Whether a token is of this family, and not of an earlier one: after a restore the same number
    is given again."""
    issued = claims.get("iat")
    if row.user_id != user.pk or not isinstance(issued, int | float):
        return False
    return bool(issued >= row.created_at.timestamp() - _ROUNDING_S)


def _is_valid(row: SignIn, user: User) -> bool:
    is_same = hmac.compare_digest(row.password_mark, password_mark(user))
    return is_same and row.kind == Kind.TOKENS and may_renew(row, user)


def _accepts(row: SignIn, generation: int, now: datetime) -> bool:
    if generation == row.generation:
        return True
    if generation != row.generation - 1 or row.rotated_at is None:
        return False
    return now - row.rotated_at < REPEATABLE


def _renew(row: SignIn, generation: int, now: datetime) -> None:
    if generation == row.generation:
        row.generation, row.rotated_at = generation + 1, now
    row.seen_at = now
    row.expires_at = min(now + REFRESH_LIFE, row.created_at + FAMILY_LIFE)
    row.save(update_fields=["generation", "rotated_at", "seen_at", "expires_at"])


def _end_reused(row: SignIn, now: datetime) -> None:
    target = f"sign-in:{row.pk}"
    record_action(
        actor="system",
        action="sign-in.reused",
        target=target,
        at=now,
        subject_id=row.user_id,
        before=row.facts(),
    )
    log.warning("security.refresh_reused", principal=f"user:{row.user_id}", target=target)
    row.delete()
    forget_callers()


def _pair(family: SignIn, user: User, *, now: datetime) -> TokenPair:
    return TokenPair(
        access=issue_access(user, now=now, family=family.pk),
        refresh=sign_token(
            user,
            REFRESH_AUDIENCE,
            now=now,
            expires_at=family.expires_at,
            **{FAMILY_CLAIM: family.pk, GENERATION_CLAIM: family.generation},
        ),
        expires_in=int(ACCESS_LIFE.total_seconds()),
    )
