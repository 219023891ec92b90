"""Decides which account single sign-on opens, for django-allauth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import requests
import structlog
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from yarl import URL

from directory.models import User
from directory.models.staff import StaffRole
from notifications.domain.redaction import redacted
from notifications.features.access.callers import forget_callers
from notifications.features.access.sign_in.rules import is_active_staff, is_break_glass
from notifications.features.access.staff import check_other_admin
from notifications.features.signing_in.invitations import accept_by_sign_on
from notifications.features.signing_in.sign_on import (
    PROVIDER_FACTOR,
    PROVIDER_ID,
    SignOnProvider,
    provider_app,
)
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import Address, GuardedResolver, SystemResolver
from notifications.infra.http.client_address import address_of
from notifications.infra.http.fetching import BoundedAdapter
from notifications.models.audit.actions import record_action

INVITATION_KEY = "staff_invitation"
"""The session's field with the invitation that is accepted by single sign-on."""
TIMEOUT_S = 5
_VERIFIED = frozenset({"mfa", "hwk", "otp", "sms", "pop"})
"""Values of `amr` (RFC 8176) that say of a second factor."""
log = structlog.get_logger("carillon.security")
web_log = structlog.get_logger("carillon.web")


class _Addresses:
    """Decides where a call of the provider may connect to.

    The issuer's own host may be private, because an operator named it. Other hosts that its
    document names are public ones.
    """

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Returns the addresses of a host.

        Raises:
            AddressRefused: one is not public.
        """
        is_issuers = host == URL(environment().oidc_issuer).raw_host
        return await (SystemResolver() if is_issuers else GuardedResolver()).resolve(host, port)


class ProviderSession(requests.Session):
    """Calls the provider: bounded in time and size as a whole, without redirects and proxies."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.mount("https://", BoundedAdapter(timeout_s=TIMEOUT_S, resolver=_Addresses()))
        self.mount("http://", BoundedAdapter(timeout_s=TIMEOUT_S, resolver=_Addresses()))


class SignOnAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """One provider, that of the settings. No account is made without an invitation."""

    def list_apps(
        self, request: HttpRequest, provider: Any = None, client_id: Any = None
    ) -> list[SocialApp]:
        app = provider_app()
        if app is None or provider not in (None, app.provider, PROVIDER_ID):
            return []
        return [app]

    def list_providers(self, request: HttpRequest) -> list[Any]:
        return [SignOnProvider(request, app=app) for app in self.list_apps(request)]

    def get_provider(self, request: HttpRequest, provider: Any, client_id: Any = None) -> Any:
        return SignOnProvider(request, app=self.get_app(request, provider=provider))

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> None:
        """Logs why a sign-in failed: the page does not say it."""
        reason = redacted(str(exception or error or "no account is bound"))
        web_log.info("sign_on.failed", reason=reason)
        log.warning("security.sign_in_failed", client=address_of(request))

    def get_connect_redirect_url(self, request: HttpRequest, socialaccount: Any) -> str:
        return "/account"

    def get_requests_session(self) -> ProviderSession:
        return ProviderSession()

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Binds an invited person, and sets the role that the provider says.

        Raises:
            PermissionDenied: no account is bound to this person, or the provider gives no role.
        """
        if sociallogin.state.get("process") == "connect":
            return
        invitation = request.session.pop(INVITATION_KEY, None)
        with transaction.atomic():
            if not sociallogin.is_existing:
                if invitation is None:
                    self._refuse(request)
                user = accept_by_sign_on(invitation, now=clock.now())
                sociallogin.connect(request, user)
            if not is_active_staff(sociallogin.user):
                self._refuse(request)  # a role that was taken here is not given back there
            self._set_role(request, sociallogin)
        verified = _VERIFIED & set(_values(sociallogin.claims.get("amr")))
        request.session[PROVIDER_FACTOR] = sociallogin.user.pk if verified else None

    def _set_role(self, request: HttpRequest, sociallogin: Any) -> None:
        pairs = environment().oidc_roles
        if not pairs:
            return
        user: User = sociallogin.user
        role = role_for(pairs, _values(sociallogin.claims.get(environment().oidc_role_claim)))
        if role is None:
            self._refuse(request)
        if user.staff_role == role or is_break_glass(user):
            return
        if user.staff_role is None:  # an admin ended it, with the limits of its groups
            self._refuse(request)
        if role != StaffRole.ADMIN:
            check_other_admin(user)  # the last admin stays one
        before, user.staff_role = user.staff_role, role
        user.save(update_fields=["staff_role"])
        record_action(
            actor="single-sign-on",
            action="staff.role",
            target=f"user:{user.pk}",
            at=clock.now(),
            subject_id=user.pk,
            before={"staff_role": before},
            after={"staff_role": role},
        )
        forget_callers()

    def _refuse(self, request: HttpRequest) -> NoReturn:
        raise PermissionDenied("no account is bound, or the provider gives it no role")

    def serialize_instance(self, instance: Any) -> Any:
        """Returns a stored user as its number: sealed columns do not belong into a session."""
        if isinstance(instance, User):
            return {"number": instance.pk}
        return super().serialize_instance(instance)

    def deserialize_instance(self, model: Any, data: Any) -> Any:
        if model is User:
            return User.objects.filter(pk=data["number"]).first() or User()
        return super().deserialize_instance(model, data)


def role_for(pairs: tuple[str, ...], values: list[str]) -> str | None:
    """Returns the role with the most rights that the provider's values stand for; None for none."""
    meant = dict(pair.rpartition("=")[::2] for pair in pairs)
    found = {meant[value] for value in values if value in meant}
    return next((role for role in StaffRole.values if role in found), None)


def _values(claim: object) -> list[str]:
    """Returns the texts of a claim, which may be one text or a list."""
    if isinstance(claim, str):
        return [claim]
    return [each for each in claim if isinstance(each, str)] if isinstance(claim, list) else []
