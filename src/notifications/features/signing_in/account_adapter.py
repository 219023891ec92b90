"""Decides who signs in on the pages, for django-allauth. Only staff have an account."""

from __future__ import annotations

import time
from typing import Any, NoReturn

import structlog
from allauth.account import app_settings as account_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.stagekit import clear_login
from allauth.core import context
from django.contrib.auth import authenticate
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from directory.models import User
from notifications.features.access.sign_in.rules import is_active_staff, may_use
from notifications.features.access.sign_in.sign_ins import password_mark
from notifications.features.access.throttles import guard_sign_in
from notifications.features.signing_in.mails import send_notice
from notifications.infra import clock
from notifications.infra.http.client_address import address_of
from notifications.models import SignIn

log = structlog.get_logger("carillon.security")
_LONGEST_NAME = 150
_BEGUN_KEY = "sign_in_begun"
"""The session's field with what a sign-in began under, until its last step."""


def method_of(request: HttpRequest, user: User) -> str:
    """Returns by what a person signs in in this session, as allauth has recorded it."""
    records = get_authentication_records(request, user)
    methods = {record.get("method") for record in records}
    if "socialaccount" in methods:
        return SignIn.Method.SINGLE_SIGN_ON
    if any(record.get("passwordless") for record in records):
        return SignIn.Method.PASSKEY
    return SignIn.Method.PASSWORD


class StaffAccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Staff alone; passwords throttled; mails by this service; no registration."""

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Checks a name and password. All that fail look alike, and count alike.

        Raises:
            Throttled: too many sign-ins failed.
        """
        name = str(credentials.get("username", ""))[:_LONGEST_NAME]
        password = str(credentials.get("password", ""))

        def attempt() -> User | None:
            if "\x00" in name:
                return None
            user = authenticate(request, username=name, password=password)
            if not isinstance(user, User):
                return None
            if is_active_staff(user) and may_use(user, SignIn.Method.PASSWORD):
                return user
            # Django reports wrong passwords alone.
            who = f"user:{user.pk}"
            log.warning("security.sign_in_failed", principal=who, client=address_of(request))
            return None

        return guard_sign_in(attempt, address=address_of(request), name=name, now=clock.now())

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        """Refuses who may not sign in by this method, whatever led here."""
        request.session[_BEGUN_KEY] = _endings_of(user)
        self._check(request, user)
        return None

    def login(self, request: HttpRequest, user: User) -> None:
        """Begins the session. The rules hold after the last step, too: minutes may have passed."""
        if request.session.pop(_BEGUN_KEY, None) != _endings_of(user):
            self._refuse(request)  # a new password, or a logout everywhere, ends half a sign-in
        self._check(request, user)
        super().login(request, user)

    def _check(self, request: HttpRequest, user: User) -> None:
        if not is_active_staff(user) or not may_use(user, method_of(request, user)):
            self._refuse(request)

    def _refuse(self, request: HttpRequest) -> NoReturn:
        clear_login(request)
        log.warning("security.sign_in_failed", client=address_of(request))
        raise PermissionDenied

    def get_login_stages(self) -> list[str]:
        return ["allauth.mfa.stages.AuthenticateStage"]

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Whether a change of the account needs the password or a factor once more.

        A sign-in within the last minutes counts: who comes by single sign-on has nothing else.
        """
        request = current_request()
        records = get_authentication_records(request, request.user)
        latest = max((record["at"] for record in records), default=0.0)
        return bool(time.time() - latest >= account_settings.REAUTHENTICATION_TIMEOUT)

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request)

    def is_safe_url(self, url: str) -> bool:
        """Whether a page may be opened after the sign-in: one of this service alone."""
        is_path = url.startswith("/") and not url.startswith(("//", "/\\"))
        return is_path and bool(super().is_safe_url(url))

    def send_notification_mail(
        self,
        template_prefix: str,
        user: User,
        context: dict[str, Any] | None = None,
        email: str | None = None,
    ) -> None:
        """Reports a change of a person's sign-in to them."""
        send_notice(user, template_prefix.rpartition("/")[2])

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Refuses to send. The base would do so past the outbox, by Django's own mail server.

        No page that is mounted leads here: those that would are of registration and of addresses.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"this service does not send the mail {template_prefix}")


def _endings_of(user: User) -> str:
    """Returns a text that changes when everything of a person ends."""
    stored = User.objects.only("password", "tokens_not_before").get(pk=user.pk)
    return f"{password_mark(stored)} {stored.tokens_not_before}"


def current_request() -> HttpRequest:
    """Returns the request that allauth serves in this thread."""
    request: HttpRequest = context.request
    return request
