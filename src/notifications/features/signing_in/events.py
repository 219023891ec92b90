"""What follows from events of the sign-in: sessions are listed, recorded, renewed and ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from allauth.account import signals as account_signals
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa import signals as factor_signals
from allauth.mfa.models import Authenticator
from allauth.socialaccount import signals as sign_on_signals
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest

from directory.models import User
from notifications.features.access.callers import forget_callers
from notifications.features.access.sign_in.rules import break_glass_used, note_sign_in
from notifications.features.access.sign_in.sign_ins import Kind, begin_sign_in, end_everything
from notifications.features.signing_in.account_adapter import method_of
from notifications.features.signing_in.mails import report_to_admins
from notifications.features.signing_in.sign_on import PROVIDER_FACTOR
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client_address import address_of
from notifications.infra.http.request_origin import current_origin, request_from
from notifications.infra.session_keys import stored_key
from notifications.models import SignIn
from notifications.models.audit.actions import record_action

log = structlog.get_logger("carillon.security")
_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def connect() -> None:
    """Connects the receivers. Called once, when the apps are ready."""
    user_logged_in.connect(_list_session, dispatch_uid="signing_in")
    break_glass_used.connect(_report_break_glass, dispatch_uid="signing_in")
    user_logged_out.connect(_end_session, dispatch_uid="signing_in")
    account_signals.authentication_step_completed.connect(_renew_key, dispatch_uid="signing_in")
    account_signals.password_changed.connect(_end_all, dispatch_uid="signing_in")
    account_signals.password_set.connect(_end_all, dispatch_uid="signing_in")
    factor_signals.authenticator_added.connect(_factor_added, dispatch_uid="signing_in")
    factor_signals.authenticator_removed.connect(_factor_removed, dispatch_uid="signing_in")
    factor_signals.authenticator_reset.connect(_factor_reset, dispatch_uid="signing_in")
    sign_on_signals.social_account_added.connect(_bound, dispatch_uid="signing_in")
    sign_on_signals.social_account_removed.connect(_unbound, dispatch_uid="signing_in")


def _list_session(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Stores the row of a new session. Its key was renewed by the sign-in."""
    if request.session.session_key is None:
        request.session.save()
    key = stored_key(str(request.session.session_key))
    SignIn.objects.filter(session_key=key).delete()  # of an earlier sign-in in this session
    method, now = method_of(request, user), clock.now()
    with request_from(ip=address_of(request), user_agent=request.META.get("HTTP_USER_AGENT", "")):
        row = begin_sign_in(
            user,
            kind=Kind.SESSION,
            method=method,
            second_factor=_used_factor(request, user, method),
            session_key=key,
            now=now,
            lasts=timedelta(hours=environment().session_hours),
        )
        _record("sign-in.began", user, target=f"sign-in:{row.pk}", after=row.facts())
        note_sign_in(user, method)


def _report_break_glass(sender: Any, user: User, **_: Any) -> None:
    """Records the use of a break-glass account, and writes to all administrators."""
    origin = current_origin()
    _record("sign-in.break_glass", user, target=f"user:{user.pk}")
    log.warning("security.break_glass", principal=f"user:{user.pk}", client=origin.ip)
    report_to_admins("break_glass")


def _used_factor(request: HttpRequest, user: User, method: str) -> bool:
    """Whether a second factor was verified: here, or by the provider that the person came from."""
    at_provider = request.session.pop(PROVIDER_FACTOR, None) == user.pk
    if at_provider and method == SignIn.Method.SINGLE_SIGN_ON:
        return True
    return any(each.get("method") == "mfa" for each in get_authentication_records(request, user))


def row_of(request: HttpRequest) -> SignIn | None:
    """Returns the sign-in of the session of a request; None where it has ended."""
    key = request.session.session_key
    if not key:
        return None
    return SignIn.objects.live(clock.now()).filter(session_key=stored_key(key)).first()


def _end_session(sender: Any, request: HttpRequest, user: User | None, **_: Any) -> None:
    """Deletes the row of a session that its person ended. Django deletes the session itself."""
    row = row_of(request)
    if row is None or user is None:
        return
    row.delete()
    _record("sign-in.ended", user, target=f"sign-in:{row.pk}", before=row.facts())


def _renew_key(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Gives the session another key at each step, so that no earlier copy of it gains rights."""
    renew_session(request)


def renew_session(request: HttpRequest, *, second_factor: bool = False) -> None:
    """Gives a session another key. second_factor: one was verified just now."""
    request.session.cycle_key()
    row = row_of(request)
    if row is not None and second_factor:
        row.second_factor = True
        row.save(update_fields=["second_factor"])


def _end_all(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    end_everything(user, now=clock.now())
    forget_callers()
    _record("account.password", user, target=f"user:{user.pk}")


def _factor_added(
    sender: Any, request: HttpRequest, user: User, authenticator: Any, **_: Any
) -> None:
    if authenticator.type in _FACTORS:
        renew_session(request, second_factor=True)
    _record_factor("account.factor_added", user, authenticator)


def _factor_removed(
    sender: Any, request: HttpRequest, user: User, authenticator: Any, **_: Any
) -> None:
    _record_factor("account.factor_removed", user, authenticator)


def _factor_reset(
    sender: Any, request: HttpRequest, user: User, authenticator: Any, **_: Any
) -> None:
    _record_factor("account.factor_reset", user, authenticator)


def _record_factor(action: str, user: User, authenticator: Any) -> None:
    kind = {"type": str(authenticator.type)}
    removed = action.endswith("removed")
    _record(
        action,
        user,
        target=f"user:{user.pk}",
        before=kind if removed else None,
        after=None if removed else kind,
    )


def _bound(sender: Any, request: HttpRequest, sociallogin: Any, **_: Any) -> None:
    _record("account.bound", sociallogin.user, target=f"user:{sociallogin.user.pk}")


def _unbound(sender: Any, request: HttpRequest, socialaccount: Any, **_: Any) -> None:
    _record("account.unbound", socialaccount.user, target=f"user:{socialaccount.user_id}")


def _record(action: str, user: User, *, target: str, before: Any = None, after: Any = None) -> None:
    record_action(
        actor=f"user:{user.pk}",
        action=action,
        target=target,
        at=clock.now(),
        subject_id=user.pk,
        before=before,
        after=after,
    )
