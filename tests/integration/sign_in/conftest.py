"""Members of staff, their second factors, and a provider of single sign-on."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from django.utils.http import int_to_base36
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from directory.models import User
from tests.integration.factories import make_user
from tests.integration.sign_in.provider import Provider

GOOD = "correct horse 9"
PERIOD_S = 30
ORIGIN = "https://testserver"
_FLAG = AuthenticatorData.FLAG


def make_staff(role: str = "author", **values: Any) -> User:
    user = make_user(staff_role=role, **values)
    user.set_password(GOOD)
    user.save()
    return user


class Factor:
    """An authenticator app. Each call returns another valid code, of three within one period."""

    def __init__(self, user: User) -> None:
        self.secret = generate_totp_secret()
        TOTP.activate(user, self.secret)
        self.recovery = RecoveryCodes.activate(user)
        self._offsets = iter((0, 1, -1))  # the first stay valid in the next period

    def code(self) -> str:
        return code_of(self.secret, next(self._offsets))


def code_of(secret: str, offset: int = 0) -> str:
    counter = int(time.time()) // PERIOD_S + offset
    return format_hotp_value(hotp_value(secret, counter))


class Passkey:
    """A passkey as a browser would have made it, which signs what a page requests."""

    def __init__(self, user: User, name: str = "key", **values: Any) -> None:
        self.user = user
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._number = secrets.token_bytes(16)
        public = ES256.from_cryptography_key(self._key.public_key())
        held = AttestedCredentialData.create(Aaguid.NONE, self._number, public)
        made = AttestationObject.create("none", self._about(_FLAG.AT, held), {})
        self.row = Authenticator.objects.create(
            user=user,
            type="webauthn",
            data={
                "name": name,
                "credential": {
                    **self._credential("webauthn.create", b"c" * 32, attestationObject=made),
                    "clientExtensionResults": {},
                },
            },
            **values,
        )

    def answer(self, client: Client) -> str:
        """Returns the form field that answers the challenge of the page in this session."""
        challenge = websafe_decode(client.session["mfa.webauthn.state"]["challenge"])
        about = self._about(_FLAG.UP)
        said = CollectedClientData.create("webauthn.get", challenge, ORIGIN)
        signed = self._key.sign(about + said.hash, ec.ECDSA(hashes.SHA256()))
        handle = int_to_base36(self.user.pk).encode()
        found = self._credential(
            "webauthn.get",
            challenge,
            authenticatorData=about,
            signature=signed,
            userHandle=handle,
        )
        return json.dumps(found)

    def sign_in(self, client: Client) -> Any:
        """Signs in without a password."""
        client.get("/account/2fa/passkeys/login", headers={"Accept": "application/json"})
        return client.post("/account/2fa/passkeys/login", {"credential": self.answer(client)})

    def _about(self, more: Any, held: Any = None) -> AuthenticatorData:
        host = hashlib.sha256(b"testserver").digest()
        return AuthenticatorData.create(host, _FLAG.UP | _FLAG.UV | more, 0, held or b"")

    def _credential(self, what: str, challenge: bytes, **response: bytes) -> dict[str, Any]:
        response["clientDataJSON"] = CollectedClientData.create(what, challenge, ORIGIN)
        texts = {name: websafe_encode(value) for name, value in response.items()}
        text = websafe_encode(self._number)
        return {"id": text, "rawId": text, "type": "public-key", "response": texts}


def make_passkey(user: User, name: str = "key", **values: Any) -> Authenticator:
    return Passkey(user, name, **values).row


@pytest.fixture
def author(db: None) -> User:
    return make_staff("author", username="lovelace")


@pytest.fixture
def admin(db: None) -> User:
    return make_staff("admin", username="hopper")


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


def sign_in(client: Client, name: str = "lovelace", password: str = GOOD, **more: Any) -> Any:
    return client.post("/account/login", {"login": name, "password": password, **more})


def is_signed_in(client: Client) -> bool:
    return client.get("/account").status_code == 200


def by_provider(client: Client, provider: Provider, subject: str, **claims: Any) -> Any:
    """Goes to the provider and back; returns the response of the way back."""
    there = client.get("/account/oidc/sso/login")
    assert there.status_code == 302, there.content
    return client.get(provider.authorize(there["Location"], subject, **claims))
