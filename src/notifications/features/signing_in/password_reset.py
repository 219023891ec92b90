"""A new password by mail: the link works once, and its use ends all sessions and tokens.

A request is only queued, whatever the address. So the page takes the same time for every address,
and says the same. A worker finds out who is meant.
"""

from __future__ import annotations

import base64

from django.contrib.auth.tokens import default_token_generator
from django.db import transaction

from directory.models import User
from notifications.features.access.administrators import check_password
from notifications.features.access.callers import forget_callers
from notifications.features.access.sign_in.rules import is_active_staff, may_use
from notifications.features.access.sign_in.sign_ins import end_everything
from notifications.features.signing_in.mails import send_notice, send_reset
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.crypto import seal, unseal
from notifications.models import SignIn
from notifications.models.audit.actions import record_action

_MOST_ACCOUNTS = 10
"""Accounts of one address that get a link."""


def sealed_address(email: str) -> str:
    """Returns an address as a queued request holds it."""
    return base64.b64encode(seal(email.strip().lower().encode())).decode()


def send_reset_links(sealed: str) -> int:
    """Sends a link to each member of staff with this address; returns their number."""
    email = unseal(base64.b64decode(sealed)).decode()
    found = User.objects.filter(email__iexact=email, staff_role__isnull=False).order_by("pk")
    meant = [user for user in found[:_MOST_ACCOUNTS] if _may_reset(user)]
    for user in meant:
        with transaction.atomic():
            send_reset(user, link_of(user))
            _record("account.reset_requested", user)
    return len(meant)


def _may_reset(user: User) -> bool:
    return is_active_staff(user) and may_use(user, SignIn.Method.PASSWORD)


def link_of(user: User) -> str:
    """Returns the link by which a person chooses a new password."""
    token = f"{user.pk}.{default_token_generator.make_token(user)}"
    return f"{environment().public_url}/new-password/{token}"


def user_of_link(token: str) -> User | None:
    """Returns the person of a link; None where it is forged, used or over."""
    number, _, rest = token.partition(".")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    user = User.objects.filter(pk=int(number)).first()
    if user is None or not default_token_generator.check_token(user, rest):
        return None
    return user if _may_reset(user) else None


def set_new_password(token: str, password: str) -> User | None:
    """Sets the password of the person of a link, and ends everything; None where it is void.

    Raises:
        InvalidRequest: weak_password.
    """
    now = clock.now()
    with transaction.atomic():
        found = user_of_link(token)
        if found is None:
            return None
        # Of two uses at once, the second one finds another password.
        user = User.objects.select_for_update().get(pk=found.pk)
        if user_of_link(token) is None:
            return None
        check_password(password, user)
        user.set_password(password)
        user.save(update_fields=["password"])
        end_everything(user, now=now)
        _record("account.password_reset", user)
        send_notice(user, "password_reset")
        forget_callers()
    return user


def _record(action: str, user: User) -> None:
    record_action(
        actor=f"user:{user.pk}",
        action=action,
        target=f"user:{user.pk}",
        at=clock.now(),
        subject_id=user.pk,
    )
