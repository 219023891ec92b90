"""Begins, reads and ends sign-ins: sessions of browsers and families of tokens.

A sign-in is valid as long as its row exists. Ending deletes the row, so that it holds in this
process at once, and elsewhere within a second (see `callers`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac

from directory.models import User
from notifications.features.access.sign_in.rules import may_renew
from notifications.infra.http.request_origin import current_origin
from notifications.models import PersonToken, SignIn
from notifications.models.access.sign_in import AGENT_LENGTH

SEEN_STEP = timedelta(minutes=5)
Kind, Method = SignIn.Kind, SignIn.Method
_READ_OF_FAMILIES = (
    "password_mark",
    "method",
    "second_factor",
    "user__password",
    "user__is_active",
    "user__staff_role",
    "user__break_glass",
)


def password_mark(user: User) -> str:
    """Returns a text that changes with the password and reveals nothing about it."""
    return salted_hmac("carillon.refresh", user.password, algorithm="sha256").hexdigest()[:16]


def begin_sign_in(
    user: User,
    *,
    kind: str,
    method: str,
    now: datetime,
    lasts: timedelta,
    second_factor: bool = False,
    session_key: str | None = None,
) -> SignIn:
    """Stores a sign-in; its address and agent are those of the current request."""
    origin = current_origin()
    return SignIn.objects.create(
        user=user,
        kind=kind,
        method=method,
        second_factor=second_factor,
        session_key=session_key,
        password_mark=password_mark(user),
        address=origin.ip[:45],
        agent=_plain(origin.user_agent),
        created_at=now,
        seen_at=now,
        expires_at=now + lasts,
    )


def _plain(agent: str) -> str:
    """Returns the name of a client without characters that a database or a page cannot hold."""
    return "".join(each for each in agent if each.isprintable())[:AGENT_LENGTH]


def note_seen(sign_in: SignIn, *, now: datetime) -> None:
    """Writes that a sign-in was used, at most once in five minutes."""
    if now - sign_in.seen_at >= SEEN_STEP:
        SignIn.objects.filter(pk=sign_in.pk).update(seen_at=now)


def end_sign_ins(rows: QuerySet[SignIn]) -> int:
    """Ends sign-ins, and the sessions of those that have one; returns their number."""
    with transaction.atomic():
        found = list(rows.values_list("pk", "session_key"))
        keys = [key for _, key in found if key]
        Session.objects.filter(session_key__in=keys).delete()
        SignIn.objects.filter(pk__in=[pk for pk, _ in found]).delete()
    return len(found)


def end_everything(user: User, *, now: datetime) -> int:
    """Ends all sign-ins and tokens of a person, those of the platform too; returns their number.

    API keys stay: services use them.
    """
    with transaction.atomic():
        ended = end_sign_ins(SignIn.objects.filter(user=user))
        ended += PersonToken.objects.filter(user=user).delete()[0]
        User.objects.filter(pk=user.pk).update(tokens_not_before=now)
    return ended


def live_families(keys: Iterable[int], *, now: datetime) -> set[int]:
    """Returns which families of tokens are valid: by their age, their password and the rules."""
    rows = SignIn.objects.live(now).filter(pk__in=list(keys), kind=Kind.TOKENS)
    return {
        row.pk
        for row in rows.select_related("user").only(*_READ_OF_FAMILIES)
        if row.password_mark == password_mark(row.user) and may_renew(row, row.user)
    }
