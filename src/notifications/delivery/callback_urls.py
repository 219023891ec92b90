"""Where vendors report back: `POST /api/v1/callbacks/{provider}`, with our message's id inside.

The id is signed, so that whoever learns the address of the door cannot report on other messages,
and a receipt finds its message without a row that maps ids.
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
    """The signed address for one message; empty where no vendor could reach it."""
    base = environment().public_url
    if is_local(base):
        return ""
    query = {"reference": reference, "token": sign_text(_PURPOSE, f"{provider}:{reference}")}
    return f"{base}/api/v1/callbacks/{provider}?{urlencode(query)}"


def reference_in(provider: str, query: Mapping[str, str]) -> str:
    """The message's reference in a callback's query; empty when it is missing or not signed."""
    reference = query.get("reference", "")
    wanted = sign_text(_PURPOSE, f"{provider}:{reference}")
    given = query.get("token", "")
    return reference if reference and hmac.compare_digest(wanted, given) else ""


def is_local(url: str) -> bool:
    """Whether a URL names this machine or a private address: no vendor reaches it."""
    host = urlsplit(url).hostname or "localhost"
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host
