"""The rules of sign-in: who may use a password, and who needs a second factor.

Every way in asks here: the pages, `POST /api/v1/auth/token` and renewals. So none leads around
single sign-on or a second factor.
"""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.dispatch import Signal

from directory.models import User
from directory.models.staff import StaffRole
from notifications.infra.conf import environment
from notifications.models import SignIn

SIGN_IN_PAGE = "/account/login"
break_glass_used = Signal()
"""Sent with `user` when a break-glass account signs in while single sign-on is enforced."""
_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
_BY_CODE = (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES)


def is_active_staff(user: User) -> bool:
    """Whether a user may have an account on the pages: an active member of staff."""
    return bool(user.is_active and user.staff_role)


def may_use(user: User, method: str) -> bool:
    """Whether a member of staff may sign in by a method.

    While single sign-on is enforced, only a break-glass account may use another one.
    """
    if not environment().single_sign_on_enforced or method == SignIn.Method.SINGLE_SIGN_ON:
        return True
    return is_break_glass(user)


def is_break_glass(user: User) -> bool:
    """Whether a person has a break-glass account, which only administrators have."""
    return bool(user.break_glass) and user.staff_role == StaffRole.ADMIN


def note_sign_in(user: User, method: str) -> None:
    """Reports a sign-in that only a break-glass account may make. Called by every way in."""
    enforced = environment().single_sign_on_enforced
    if enforced and is_break_glass(user) and method != SignIn.Method.SINGLE_SIGN_ON:
        break_glass_used.send(sender=User, user=user)


def has_second_factor(user: User) -> bool:
    """Whether the person has an authenticator app or a passkey. Makes one query."""
    return bool(Authenticator.objects.filter(user_id=user.pk, type__in=_FACTORS).exists())


def must_have_second_factor(user: User) -> bool:
    """Whether CARILLON_REQUIRE_SECOND_FACTOR requires one of this member of staff."""
    whom = environment().require_second_factor
    if whom == "admins":
        return user.staff_role == StaffRole.ADMIN
    return whom == "staff" and user.staff_role is not None


def is_second_factor(user: User, code: str) -> bool:
    """Checks a code of an authenticator app, or a recovery code, which is used up by this."""
    rows = Authenticator.objects.filter(user_id=user.pk, type__in=_BY_CODE).order_by("-type")
    return any(row.wrap().validate_code(code) for row in rows)


def may_continue(sign_in: SignIn, user: User) -> bool:
    """Whether a sign-in is valid under the present rules, for its person as they are now."""
    return user.is_active and (not user.staff_role or may_use(user, sign_in.method))


def may_renew(family: SignIn, user: User) -> bool:
    """Whether a family of tokens is valid under the present rules.

    One without a second factor ends when its person must have one: by the settings, or by a new
    role. A session only leads to the page that sets one up.
    """
    return may_continue(family, user) and (
        family.second_factor or not must_have_second_factor(user)
    )
