"""Forms of django-allauth whose secrets are guessed at most as fast as passwords."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from allauth.account.forms import ChangePasswordForm
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from django.core.exceptions import ValidationError

from directory.models import User
from notifications.features.access.throttles import guard_code
from notifications.features.signing_in.account_adapter import current_request
from notifications.infra import clock
from notifications.infra.http.client_address import address_of

log = structlog.get_logger("carillon.security")


def guarded(check: Callable[[], str], user: User) -> str:
    """Returns what `check` returns; its ValidationError counts as a failed sign-in.

    Raises:
        Throttled: too many codes and passwords of this person were wrong.
    """
    errors: list[ValidationError] = []

    def attempt() -> str | None:
        try:
            return check()
        except ValidationError as error:
            errors.append(error)
            return None

    address = address_of(current_request())
    found = guard_code(attempt, address=address, person=user.pk, now=clock.now())
    if found is None:
        log.warning("security.sign_in_failed", principal=f"user:{user.pk}", client=address)
        raise errors[0]
    return found


class GuardedFactor(AuthenticateForm):  # type: ignore[misc]  # allauth has no types
    """The code of a second factor, at the sign-in."""

    def clean_code(self) -> str:
        return guarded(super().clean_code, self.user)


class GuardedReauthentication(ReauthenticateForm):  # type: ignore[misc]
    """The code of a second factor, before a change of the account."""

    def clean_code(self) -> str:
        return guarded(super().clean_code, self.user)


class GuardedActivation(ActivateTOTPForm):  # type: ignore[misc]
    """The first code of a new authenticator app."""

    def clean_code(self) -> str:
        return guarded(super().clean_code, self.user)


class GuardedPasswordChange(ChangePasswordForm):  # type: ignore[misc]
    """The present password and a new one."""

    def clean_oldpassword(self) -> str:
        return guarded(super().clean_oldpassword, self.user)
