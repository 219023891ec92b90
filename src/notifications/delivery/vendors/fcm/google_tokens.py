"""Access tokens of a Google service account (RFC 7523), fetched with our own HTTP client.

google-auth signs the assertion. Its transports are not used: they need `requests`, a thread or
their own session.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from google.auth import crypt, jwt

from notifications.domain.errors import CarillonError
from notifications.infra import clock
from notifications.infra.http.client import HttpClient, HttpFault

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_S = 3600
_EARLY_S = 300.0  # a token is renewed so long before it expires, so that none expires during a call


class TokenRefused(CarillonError):
    """The credentials cannot be read, or Google refuses them."""

    code = "auth"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The content of a service account's JSON file."""

    project_id: str
    client_email: str
    token_uri: str
    signer: Any = field(repr=False)


def read_service_account(path: str) -> ServiceAccount:
    """Reads the JSON key file of the Firebase console; path may also be its content.

    Raises:
        TokenRefused: there is no such file, or it has another form; the text says what to correct.
    """
    advice = "set CARILLON_FCM_CREDENTIALS to the path of the service account's JSON file"
    if not path:
        raise TokenRefused(f"there are no FCM credentials: {advice}")
    try:
        info: Mapping[str, Any] = json.loads(
            path if path.lstrip().startswith("{") else Path(path).read_text()
        )
        return ServiceAccount(
            project_id=str(info["project_id"]),
            client_email=str(info["client_email"]),
            token_uri=str(info.get("token_uri", "https://oauth2.googleapis.com/token")),
            # google-auth types neither this nor encode
            signer=crypt.RSASigner.from_service_account_info(info),  # type: ignore[no-untyped-call]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TokenRefused(f"the FCM credentials cannot be read: {advice}") from error


class TokenSource:
    """Caches one access token and renews it before it expires; many callers share one request."""

    def __init__(self, account: ServiceAccount, client: HttpClient, scope: str) -> None:
        self._account = account
        self._client = client
        self._scope = scope
        self._current = ""
        self._expires_at_s = 0.0
        self._lock = asyncio.Lock()

    async def token(self, *, instead_of: str = "") -> str:
        """Returns an access token.

        Args:
            instead_of: a token that was just refused, and is not returned again.

        Raises:
            TokenRefused: Google refuses the credentials, or its response has no token.
            HttpFault: Google cannot be reached. Whether the token request was written does not
                matter: the message was not.
        """
        async with self._lock:
            fresh = clock.now().timestamp() < self._expires_at_s - _EARLY_S
            if not fresh or not self._current or self._current == instead_of:
                self._current, self._expires_at_s = await self._fetch()
            return self._current

    async def _fetch(self) -> tuple[str, float]:
        now_s = clock.now().timestamp()
        claims = {
            "iss": self._account.client_email,
            "scope": self._scope,
            "aud": self._account.token_uri,
            "iat": int(now_s),
            "exp": int(now_s) + _LIFE_S,
        }
        signed = jwt.encode(self._account.signer, claims)  # type: ignore[no-untyped-call]  # see above
        assertion = signed.decode()
        response = await self._client.request(
            "POST",
            self._account.token_uri,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode({"grant_type": _GRANT, "assertion": assertion}).encode(),
        )
        if response.status == 429 or response.status >= 500:
            raise HttpFault("token", f"no access token: HTTP {response.status}", written=False)
        try:
            found = json.loads(response.body)
            return str(found["access_token"]), now_s + float(found["expires_in"])
        except (ValueError, KeyError, TypeError) as error:
            raise TokenRefused(f"no access token: HTTP {response.status}") from error
