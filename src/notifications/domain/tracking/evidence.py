"""What is known of one request for a pixel or a link. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from notifications.domain.engagement import EventKind

HEADERS = (
    "accept",
    "accept-language",
    "purpose",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-purpose",
    "x-moz",
    "x-purpose",
)
"""The headers whose values are stored, cut to HEADER_LENGTH characters."""
PRESENCE = ("cookie", "referer")
"""The headers of which only the presence is stored, as `1`: their values say more of the person."""
HEADER_LENGTH = 60
AGENT_LENGTH = 300
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class TrackingEvidence:
    """One request."""

    kind: EventKind
    #: Epoch seconds.
    at: float
    #: The place of the link in the mail; None for the pixel.
    link: int | None = None
    method: str = "GET"
    agent: str = ""
    #: The reduced address: a network of `reduced`.
    network: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    repeats: int = 1


def reduced(address: str) -> str:
    """Returns the network of an address: 24 bits of IPv4, 48 of IPv6; empty for no address.

    It names an operator, and no longer one connection.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 48), strict=False))


def stored_headers(given: Mapping[str, str]) -> dict[str, str]:
    """Returns what is stored of the headers of a request. given: by lower-case name."""
    found = {name: clean(given[name], HEADER_LENGTH) for name in HEADERS if given.get(name)}
    return found | {name: "1" for name in PRESENCE if given.get(name)}


def clean(text: str, longest: int) -> str:
    """Returns printable ASCII, cut."""
    return _UNPRINTABLE.sub("?", text[:longest])
