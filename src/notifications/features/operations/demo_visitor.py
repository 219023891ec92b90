"""The made-up student as whom the demo page shows an inbox."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from directory.demo import demo_people
from directory.models import User
from notifications.features.access.authentication import ACCESS_AUDIENCE, sign_token
from notifications.models.audit.actions import record_action

VISITOR = "student1"
LASTS = timedelta(minutes=10)


def demo_visitor() -> User | None:
    """Returns the demo student, or None without demo data. A person with a role is no demo."""
    user = User.objects.filter(username=VISITOR, pk__in=demo_people(), is_active=True).first()
    return None if user is None or user.staff_role else user


def visitor_token(user: User, *, now: datetime) -> str:
    """Returns a JWT of the demo student that is valid for ten minutes. It is audited."""
    with transaction.atomic():
        record_action(
            actor="demo",
            action="token.issued",
            target=f"user:{user.pk}",
            at=now,
            subject_id=user.pk,
            after={"kind": "jwt"},
        )
    return sign_token(user, ACCESS_AUDIENCE, now=now, expires_at=now + LASTS)
