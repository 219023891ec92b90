"""Reads messages of Amazon SNS and checks their signatures.

docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import json
import re
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from notifications.delivery.callbacks.base import NONSENSE, CallbackRefused
from notifications.infra.http.client import AddressRefused, HttpClient, HttpFault, Response

_HOST = re.compile(r"sns\.[a-z0-9-]{3,}\.amazonaws\.com(\.cn)?")
_FETCH_S = 5.0
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 -- SNS's own choice
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_SIGNED["UnsubscribeConfirmation"] = _SIGNED["SubscriptionConfirmation"]


def read_message(body: bytes) -> dict[str, Any]:
    """Reads an SNS message.

    Raises:
        CallbackRefused: the body is not one.
    """
    try:
        found = json.loads(body)
    except NONSENSE as error:
        raise CallbackRefused("the callback is not an SNS message") from error
    if not isinstance(found, dict) or str(found.get("Type")) not in _SIGNED:
        raise CallbackRefused("the callback is not an SNS message")
    return found


def check_signature(message: dict[str, Any]) -> None:
    """Checks a message's signature with the certificate that it names, which must be Amazon's.

    Raises:
        CallbackRefused: the signature or the certificate's URL is not Amazon's.
        HttpFault: the certificate cannot be fetched now.
    """
    algorithm = _HASHES.get(str(message.get("SignatureVersion")))
    url = str(message.get("SigningCertURL", ""))
    if algorithm is None or not is_amazons(url) or not urlsplit(url).path.endswith(".pem"):
        raise CallbackRefused
    try:
        signature = base64.b64decode(str(message.get("Signature", "")), validate=True)
        key = certificate_key(url)
        key.verify(signature, string_to_sign(message), padding.PKCS1v15(), algorithm)
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise CallbackRefused from error


def is_amazons(url: str) -> bool:
    """Whether a URL is SNS's own, with https."""
    parts = urlsplit(url)
    return parts.scheme == "https" and _HOST.fullmatch(parts.netloc) is not None


def string_to_sign(message: dict[str, Any]) -> bytes:
    """Returns names and values, one line each, in the order in which SNS signs them."""
    names = _SIGNED[message["Type"]]
    lines = [f"{name}\n{message[name]}\n" for name in names if message.get(name) is not None]
    return "".join(lines).encode()


@functools.lru_cache(maxsize=32)
def certificate_key(url: str) -> rsa.RSAPublicKey:
    """Returns the public key of a certificate; the content of a certificate's URL never changes."""
    response = fetch(url)
    if response.status != 200 or not response.complete:
        raise HttpFault("connection", "the certificate of SNS cannot be fetched", written=True)
    key = x509.load_pem_x509_certificate(response.body).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise CallbackRefused("the certificate holds no RSA key")
    return key


def confirm(message: dict[str, Any]) -> None:
    """Requests a subscription's confirmation URL, which must be SNS's own.

    Raises:
        CallbackRefused: the URL is not SNS's own.
        HttpFault: SNS does not respond now.
    """
    url = str(message.get("SubscribeURL", ""))
    if not is_amazons(url):
        raise CallbackRefused
    response = fetch(url)
    if response.status != 200:
        raise HttpFault("connection", "SNS did not confirm the subscription", written=True)


def fetch(url: str) -> Response:
    """GETs a URL with the SSRF guard. It blocks its thread for at most five seconds."""

    async def get() -> Response:
        client = HttpClient(timeout_s=_FETCH_S, guarded=True)
        try:
            return await client.request("GET", url, headers={}, body=b"")
        finally:
            await client.close()

    try:
        return asyncio.run(get())
    except AddressRefused as error:
        raise CallbackRefused from error
