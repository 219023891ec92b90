"""Single sign-on by OpenID Connect: what django-allauth leaves open is checked here.

The ID token is required, and its signature, issuer, audience, times and nonce are checked. The
details of a person come with the same subject or not at all. An account is found by issuer and
subject, never by an address.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Any

import jwt
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest, HttpResponse
from jwt import PyJWK

from notifications.infra import clock
from notifications.infra.conf import environment

PROVIDER_ID = "sso"
PROVIDER_FACTOR = "provider_verified_factor"
"""The session's field with the number of the person whose second factor the provider verified."""
ALGORITHMS = ("RS256", "ES256")
CLOCK_SKEW_S = 10
_REQUIRED = ["exp", "iat", "iss", "aud", "sub"]
_LONGEST_SUBJECT = 255
WRONG_SHAPE = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""What a document of another shape than the protocol's leads to, here and in allauth."""
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def provider_app() -> SocialApp | None:
    """Returns the provider of the settings as allauth knows it; None without one."""
    known = environment()
    if not known.oidc_issuer:
        return None
    return SocialApp(
        provider=OpenIDConnectProvider.id,
        provider_id=PROVIDER_ID,
        name=known.oidc_name[:40],
        client_id=known.oidc_client_id,
        secret=known.oidc_client_secret,
        settings={
            "server_url": known.oidc_issuer,
            "oauth_pkce_enabled": True,
            "scope": list(known.oidc_scopes),
        },
    )


def binding_of(issuer: str, subject: str) -> str:
    """Returns the stored id of a person at a provider: a hash of issuer and subject."""
    return hashlib.sha256(json.dumps([issuer, subject]).encode()).hexdigest()


class SignOnClient(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth has no types
    """Fetches and checks what the provider says."""

    #: What was stored in the session when the sign-in began.
    state: dict[str, Any]

    @property
    def openid_config(self) -> dict[str, Any]:
        found: dict[str, Any] = super().openid_config
        issuer = found.get("issuer") if isinstance(found, dict) else None
        if not isinstance(issuer, str) or issuer.rstrip("/") != environment().oidc_issuer:
            raise OAuth2Error("the provider's document names another issuer")
        scheme = "https://" if issuer.startswith("https://") else "http"
        if not all(str(found.get(name)).startswith(scheme) for name in _ENDPOINTS):
            raise OAuth2Error("the provider's document lacks an endpoint, or one is not https")
        return found

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: Any, **kwargs: Any
    ) -> Any:
        """Returns who signed in, from the checked ID token and the person's details.

        Raises:
            OAuth2Error: anything does not hold.
        """
        text = kwargs["response"].get("id_token")
        if not isinstance(text, str):
            raise OAuth2Error("the provider sent no ID token")
        claims = self._checked(text, app)
        details = self._details(token.token, claims["sub"])
        return self.get_provider().sociallogin_from_response(request, {**details, **claims})

    def _checked(self, text: str, app: SocialApp) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                text,
                key=self._key_of(text),
                algorithms=list(ALGORITHMS),
                audience=app.client_id,
                issuer=self.openid_config["issuer"],
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
            )
        except (jwt.PyJWTError, ValueError) as error:
            raise OAuth2Error("the ID token is not valid") from error
        self._check_claims(claims, app)
        return claims

    def _check_claims(self, claims: dict[str, Any], app: SocialApp) -> None:
        now = clock.now().timestamp()
        nonce = str(claims.get("nonce", ""))
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        subject = claims["sub"]
        checks = {
            "it has expired": claims["exp"] + CLOCK_SKEW_S > now,
            "it was issued later than now": claims["iat"] - CLOCK_SKEW_S <= now,
            "its nonce is another": hmac.compare_digest(nonce, str(self.state.get("nonce"))),
            "it is for another client": claims.get("azp", app.client_id) == app.client_id
            and ("azp" in claims or not several),
            "its subject cannot be stored": isinstance(subject, str)
            and 0 < len(subject) <= _LONGEST_SUBJECT,
        }
        wrong = [what for what, holds in checks.items() if not holds]
        if wrong:
            raise OAuth2Error(f"the ID token is refused: {', '.join(wrong)}")

    def _key_of(self, text: str) -> PyJWK:
        """Returns the provider's key that the token names.

        Raises:
            jwt.InvalidKeyError: there is none with the algorithm of the token.
        """
        header = jwt.get_unverified_header(text)
        with get_adapter().get_requests_session() as session:
            response = session.get(self.openid_config["jwks_uri"])
            response.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(response.json()).keys
        named = [each for each in keys if header.get("kid") in (None, each.key_id)]
        for key in named:
            if key.algorithm_name == header.get("alg") and key.algorithm_name in ALGORITHMS:
                return key
        raise jwt.InvalidKeyError("the provider has no such key")

    def _details(self, access_token: str, subject: str) -> dict[str, Any]:
        """Returns the person's details, if the provider has them for this subject."""
        if "userinfo_endpoint" not in self.openid_config:
            return {}
        found = self._fetch_user_info(access_token)
        if not isinstance(found, dict) or found.get("sub") != subject:
            raise OAuth2Error("the person's details are of another subject")
        return found


class SignOnProvider(OpenIDConnectProvider):  # type: ignore[misc]  # allauth has no types
    """The provider of the settings."""

    oauth2_adapter_class = SignOnClient

    def get_auth_params_from_request(self, request: HttpRequest, action: Any) -> dict[str, Any]:
        return {}  # a link does not choose what is requested

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:
        return list(self.get_scope())

    def redirect(
        self,
        request: HttpRequest,
        process: Any,
        next_url: Any = None,
        data: Any = None,
        **kwargs: Any,
    ) -> HttpResponse:
        """Leads to the provider, with a nonce that only this session knows."""
        nonce = secrets.token_urlsafe(24)
        kwargs["auth_params"] = {"nonce": nonce}
        there: HttpResponse = super().redirect(
            request, process, next_url, data, nonce=nonce, **kwargs
        )
        return there

    def extract_uid(self, data: dict[str, Any]) -> str:
        return binding_of(data["iss"], data["sub"])

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """Returns what is stored of a person: whom the binding means, and nothing else."""
        return {"issuer": data["iss"], "subject": data["sub"]}

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        return {}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:
        return []

    def sociallogin_from_response(self, request: HttpRequest, response: dict[str, Any]) -> Any:
        found = super().sociallogin_from_response(request, response)
        found.claims = response
        return found


class SignOnCallback(OAuth2CallbackView):  # type: ignore[misc]  # allauth has no types
    """Where the provider leads back to."""

    def _get_state(self, request: HttpRequest, provider: Any) -> Any:
        state, response = super()._get_state(request, provider)
        self.adapter.state = state or {}
        return state, response

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().dispatch(request, *args, **kwargs)
        except WRONG_SHAPE as error:
            provider = self.adapter.get_provider()
            return render_authentication_error(request, provider, exception=error)
