"""Tokens that an operator makes on the command line. Each one is in the audit log."""

from __future__ import annotations

from django.db import transaction

from directory.models import User
from notifications.domain.callers import Caller
from notifications.features.access.authentication import issue_access, new_drf_token
from notifications.features.access.callers import forget_callers
from notifications.features.access.sign_in.sign_ins import end_everything
from notifications.infra import clock
from notifications.models import ApiKey
from notifications.models.audit.actions import record_action, values_of


class OperatorTokens:
    """Issues and ends tokens of any user: a person at the machine has every right."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def token(self, user: User) -> str:
        """Creates another token of a user; returns its text, which is not stored."""
        with transaction.atomic():
            text = new_drf_token(user)
            self._record("token.issued", user, kind="token")
        return text

    def jwt(self, user: User) -> str:
        """Returns a JWT of a user, which is valid for an hour."""
        with transaction.atomic():
            self._record("token.issued", user, kind="jwt")
        return issue_access(user, now=clock.now())

    def key(self, user: User, *, name: str, scopes: list[str]) -> str:
        """Creates an API key that a user owns; returns its text, which is not stored."""
        with transaction.atomic():
            key, text = ApiKey.make(name=name, scopes=scopes, owner_id=user.pk)
            record_action(
                actor=self._caller.name,
                action="api-key.issued",
                target=f"key:{key.pk}",
                at=clock.now(),
                after=values_of(key),
            )
        return text

    def revoke(self, user: User) -> int:
        """Ends all sign-ins and tokens of a user; returns their number."""
        with transaction.atomic():
            count = end_everything(user, now=clock.now())
            self._record("tokens.revoked", user)
            forget_callers()
        return count

    def _record(self, action: str, user: User, **after: str) -> None:
        record_action(
            actor=self._caller.name,
            action=action,
            target=f"user:{user.pk}",
            at=clock.now(),
            subject_id=user.pk,
            after=after or None,
        )
