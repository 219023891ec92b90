"""DKIM signatures of outgoing mails, relaxed/relaxed (RFC 6376; ed25519: RFC 8463).

A key is read once. Signed mails use 7bit, quoted-printable or base64, so that no relay needs to
convert them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from notifications.delivery.mail.mime import Mail
from notifications.delivery.vendor_settings import UnusableSetting

_LEAST_BITS = 1024  # RFC 8301
_SIGNED = frozenset(
    (
        *("from", "to", "cc", "subject", "date", "message-id", "reply-to", "in-reply-to"),
        *("mime-version", "content-type", "content-transfer-encoding", "references"),
        *("auto-submitted", "list-id", "list-unsubscribe", "list-unsubscribe-post"),
    )
)
# Listed once more than they occur: a field that is added later breaks the signature.
_OVERSIGNED = ("from", "to", "subject", "date", "reply-to", "list-unsubscribe")
_SPACE = re.compile(rb"[ \t]+")
_LINE = 76
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_SELECTOR = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")


class UnusableDkimKey(UnusableSetting):
    """An entry of CARILLON_SMTP_DKIM_KEYS cannot be used."""

    code = "invalid_dkim_key"


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A private key; its public key is published at `<selector>._domainkey.<domain>`."""

    domain: str
    selector: str
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

    @property
    def algorithm(self) -> str:
        return "rsa-sha256" if isinstance(self.private, rsa.RSAPrivateKey) else "ed25519-sha256"

    @property
    def record_name(self) -> str:
        """The name of the TXT record."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def public(self) -> str:
        """The public key in the form of the record's `p`."""
        key = self.private.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            return _base64(key.public_bytes(serialization.Encoding.DER, form))
        raw = serialization.PublicFormat.Raw
        return _base64(key.public_bytes(serialization.Encoding.Raw, raw))

    @property
    def record(self) -> str:
        """The TXT record to publish."""
        kind = "rsa" if isinstance(self.private, rsa.RSAPrivateKey) else "ed25519"
        return f"v=DKIM1; k={kind}; p={self.public}"

    def sign(self, data: bytes) -> bytes:
        """Returns the signature of a canonical header."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(hashlib.sha256(data).digest())  # RFC 8463 3


def read_keys(entries: Iterable[str]) -> tuple[DkimKey, ...]:
    """Reads keys from `domain:selector:path of a PEM file`; a domain may have several.

    Raises:
        UnusableDkimKey: with the entry and its error.
    """
    return tuple(_read_key(entry) for entry in entries)


def _read_key(entry: str) -> DkimKey:
    domain, _, rest = entry.lower().partition(":")
    selector = rest.partition(":")[0]
    path = entry[len(domain) + len(selector) + 2 :]
    where = f"{domain}:{selector}"
    if not _DOMAIN.fullmatch(domain) or not _SELECTOR.fullmatch(selector) or not path:
        raise UnusableDkimKey(f"{entry!r} is not domain:selector:path of a PEM file")
    try:
        private = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except OSError as error:
        raise UnusableDkimKey(f"the key of {where} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableDkimKey(f"the key of {where} is not a plain PEM private key") from error
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= _LEAST_BITS:
        return DkimKey(domain, selector, private)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return DkimKey(domain, selector, private)
    raise UnusableDkimKey(f"the key of {where} is neither RSA of 1024 bits or more nor Ed25519")


def keys_for(domain: str, keys: Sequence[DkimKey]) -> list[DkimKey]:
    """Returns the keys that sign for a sender's domain: its own, else those of a parent domain."""
    name = domain.lower()
    while "." in name:
        found = [key for key in keys if key.domain == name]
        if found:
            return found
        name = name.partition(".")[2]
    return []


def signed(mail: Mail, keys: Sequence[DkimKey], *, at_s: int) -> Mail:
    """Returns the mail with a DKIM-Signature for each key of its sender, if there is one."""
    own = keys_for(mail.sender.rpartition("@")[2], keys)
    if not own:
        return mail
    head, _, body = mail.content.partition(b"\r\n\r\n")
    fields = _fields(head)
    body_hash = _base64(hashlib.sha256(canonical_body(body)).digest())
    lines = [_signature(key, fields, body_hash, at_s) for key in own]
    return replace(mail, content=b"".join((*lines, mail.content)))


def _signature(
    key: DkimKey, fields: Sequence[tuple[str, bytes]], body_hash: str, at_s: int
) -> bytes:
    names = [name for name, _ in fields if name in _SIGNED]
    names += _OVERSIGNED
    unsigned = (
        f"v=1; a={key.algorithm}; c=relaxed/relaxed; d={key.domain};\r\n"
        f" s={key.selector}; t={at_s};\r\n h={_folded_names(names)};\r\n bh={body_hash};\r\n b="
    )
    last = _canonical("dkim-signature", unsigned.encode())
    chosen = [text for name, text in fields if name in _SIGNED]
    data = b"".join(text + b"\r\n" for text in chosen) + last
    flat = _base64(key.sign(data))
    parts = [flat[at : at + _LINE - 4] for at in range(0, len(flat), _LINE - 4)]
    folded = "\r\n  ".join(parts)
    return f"DKIM-Signature: {unsigned}{folded}\r\n".encode()


def _folded_names(names: Sequence[str]) -> str:
    lines, current = [], ""
    for name in names:
        if len(current) + len(name) > _LINE - 4:
            lines.append(current)
            current = ""
        current += f"{name}:"
    lines.append(current)
    return "\r\n  ".join(lines).rstrip(":")


def _fields(head: bytes) -> list[tuple[str, bytes]]:
    """Returns a head's canonical fields, last one first: RFC 6376 counts from the bottom."""
    found = []
    for line in re.split(rb"\r\n(?![ \t])", head):
        name, _, value = line.partition(b":")
        text = name.decode("latin-1").strip().lower()
        found.append((text, _canonical(text, value)))
    return found[::-1]


def _canonical(name: str, value: bytes) -> bytes:
    return name.encode("latin-1") + b":" + _SPACE.sub(b" ", value.replace(b"\r\n", b"")).strip()


def canonical_body(body: bytes) -> bytes:
    """RFC 6376 3.4.4: collapses whitespace, and removes it at line ends, with empty last lines."""
    text = _SPACE.sub(b" ", body).replace(b" \r\n", b"\r\n").rstrip(b"\r\n ")
    return text + b"\r\n" if text else b""


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def published(texts: Iterable[str], key: DkimKey) -> bool:
    """Whether one of a name's TXT records contains this key."""
    return any(key.public in re.sub(r"\s", "", text) for text in texts)
