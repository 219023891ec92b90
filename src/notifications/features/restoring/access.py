"""Ends what a restore would revive: sessions, tokens and links that ended since the backup.

JWTs have no row: those from before the restore are refused, as `InstallationState` says.

API keys and staff stay, because platforms and people depend on them. They are listed for a review:
a key that was revoked since the backup is valid again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from rest_framework.authtoken.models import Token

from directory.lookup import IS_STAFF
from directory.models import User
from notifications.features.access.callers import forget_callers
from notifications.infra import clock
from notifications.models import ApiKey, PersonToken, SignIn, StaffInvitation

LISTED = 100
"""Keys and members of staff that are listed at most, each."""
_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class EndedAccess:
    """What was ended, and what a person reviews."""

    sessions: int
    #: Tokens of people.
    tokens: int
    #: Valid API keys, as name and prefix: `LISTED` at most.
    keys: list[str] = field(default_factory=list)
    key_count: int = 0
    #: Active members of staff, such as `user 7`: `LISTED` at most.
    staff: list[str] = field(default_factory=list)
    staff_count: int = 0


def end_access() -> EndedAccess:
    """Ends all sessions, tokens and invitations of people; returns what is left to review."""
    sessions = _delete_all(Session.objects.order_by("pk"))
    _delete_all(SignIn.objects.order_by("pk"))
    tokens = _delete_all(PersonToken.objects.order_by("pk"))
    tokens += _delete_all(Token.objects.order_by("pk"))
    _delete_all(StaffInvitation.objects.open(clock.now()).order_by("pk"))
    forget_callers()
    keys = ApiKey.objects.filter(revoked_at=None).order_by("pk")
    staff = User.objects.filter(IS_STAFF, is_active=True)
    return EndedAccess(
        sessions=sessions,
        tokens=tokens,
        keys=[str(key) for key in keys[:LISTED]],
        key_count=keys.count(),
        staff=[f"user {pk}" for pk in staff.order_by("pk").values_list("pk", flat=True)[:LISTED]],
        staff_count=staff.count(),
    )


def _delete_all(rows: QuerySet[Any]) -> int:
    count = 0
    while keys := list(rows.values_list("pk", flat=True)[:_AT_ONCE]):
        count += rows.model._default_manager.filter(pk__in=keys).delete()[0]
    return count
