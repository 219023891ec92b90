"""The callback URLs of vendors: `POST /api/v1/callbacks/{provider}` with our message's reference.

The reference is signed, so that a caller who knows the route cannot report on other messages. A
receipt finds its message by the reference, without a row that maps ids.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from notifications.infra.conf import environment
from notifications.infra.crypto import sign_text

_PURPOSE = "callback"


def callback_url(provider: str, reference: str) -> str:
    """Returns the signed URL for one message; empty if no vendor can reach it."""
    base = environment().public_url
    if is_local(base):
        return ""
    query = {"reference": reference, "token": sign_text(_PURPOSE, f"{provider}:{reference}")}
    return f"{base}/api/v1/callbacks/{provider}?{urlencode(query)}"


def reference_in(provider: str, query: Mapping[str, str]) -> str:
    """Returns the message's reference in a callback's query; empty if missing or not signed."""
    reference = query.get("reference", "")
    expected = sign_text(_PURPOSE, f"{provider}:{reference}")
    given = query.get("token", "")
    return reference if reference and hmac.compare_digest(expected, given) else ""


def is_local(url: str) -> bool:
    """Whether a URL names this machine or a private address, which no vendor can reach."""
    host = urlsplit(url).hostname or "localhost"
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host
