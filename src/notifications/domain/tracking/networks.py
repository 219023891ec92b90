"""Published networks of programs that request the links of mails. Pure.

A table ages: each line has its source and the date when it was read. A network is evidence of a
machine only where no one browses from it; those of clouds, which people use too, stand apart.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import NamedTuple


class KnownNetwork(NamedTuple):
    """A network, who runs it, and where that is published."""

    network: str
    owner: str
    source: str
    read_on: str


_PROOFPOINT = "Proofpoint, list of its service's networks (AS 22843)"
_MIMECAST = "Mimecast, Data Centers and URLs (community.mimecast.com)"
_BARRACUDA = "Barracuda Campus, Email Gateway Defense IP ranges"
_SYMANTEC = "Broadcom, Email Security.cloud IP ranges"
_MICROSOFT = "Microsoft 365 URLs and IP ranges, Exchange Online Protection"
_AWS = "Amazon, ip-ranges.json, the largest blocks of EC2"
_TEAMS = "Microsoft 365 URLs and IP ranges, Teams"
_GOOGLEBOT = "Google, googlebot.json; without 66.249.80.0/20, which carries Gmail's pictures, too"
_BINGBOT = "Microsoft, bingbot.json"
_TELEGRAM = "Telegram, core.telegram.org/resources/cidr.txt"
_META = "Meta Web Crawlers (developers.facebook.com)"
_TREND = "Trend Micro Email Security, data centre addresses"

SCANNER_NETWORKS: tuple[KnownNetwork, ...] = (
    KnownNetwork("67.231.144.0/20", "Proofpoint", _PROOFPOINT, "2026-11-30"),
    KnownNetwork("148.163.128.0/19", "Proofpoint", _PROOFPOINT, "2026-11-30"),
    KnownNetwork("205.220.160.0/19", "Proofpoint", _PROOFPOINT, "2026-11-30"),
    KnownNetwork("185.132.180.0/22", "Proofpoint", _PROOFPOINT, "2026-11-30"),
    KnownNetwork("185.183.28.0/22", "Proofpoint", _PROOFPOINT, "2026-11-30"),
    KnownNetwork("62.209.50.0/24", "Proofpoint", _PROOFPOINT, "2026-11-30"),
    KnownNetwork("91.209.104.0/24", "Proofpoint", _PROOFPOINT, "2026-11-30"),
    KnownNetwork("208.84.64.0/22", "Proofpoint", _PROOFPOINT, "2026-11-30"),
    KnownNetwork("208.86.200.0/22", "Proofpoint", _PROOFPOINT, "2026-11-30"),
    KnownNetwork("207.211.30.0/23", "Mimecast", _MIMECAST, "2026-11-30"),
    KnownNetwork("205.139.110.0/23", "Mimecast", _MIMECAST, "2026-11-30"),
    KnownNetwork("91.220.42.0/24", "Mimecast", _MIMECAST, "2026-11-30"),
    KnownNetwork("195.130.217.0/24", "Mimecast", _MIMECAST, "2026-11-30"),
    KnownNetwork("146.101.78.0/24", "Mimecast", _MIMECAST, "2026-11-30"),
    KnownNetwork("185.58.84.0/22", "Mimecast", _MIMECAST, "2026-11-30"),
    KnownNetwork("64.235.144.0/20", "Barracuda", _BARRACUDA, "2026-11-30"),
    KnownNetwork("209.222.80.0/21", "Barracuda", _BARRACUDA, "2026-11-30"),
    KnownNetwork("67.219.240.0/20", "Symantec", _SYMANTEC, "2026-11-30"),
    KnownNetwork("85.158.136.0/21", "Symantec", _SYMANTEC, "2026-11-30"),
    KnownNetwork("216.82.240.0/20", "Symantec", _SYMANTEC, "2026-11-30"),
    KnownNetwork("40.92.0.0/15", "Microsoft", _MICROSOFT, "2026-11-30"),
    KnownNetwork("40.94.0.0/16", "Microsoft", _MICROSOFT, "2026-11-30"),
    KnownNetwork("40.107.0.0/16", "Microsoft", _MICROSOFT, "2026-11-30"),
    KnownNetwork("52.96.0.0/12", "Microsoft", _MICROSOFT, "2026-11-30"),
    KnownNetwork("104.47.0.0/17", "Microsoft", _MICROSOFT, "2026-11-30"),
    KnownNetwork("52.112.0.0/14", "Microsoft", _TEAMS, "2026-11-30"),
    KnownNetwork("52.122.0.0/15", "Microsoft", _TEAMS, "2026-11-30"),
    KnownNetwork("150.70.224.0/20", "Trend Micro", _TREND, "2026-11-30"),
    KnownNetwork("66.249.64.0/20", "Google", _GOOGLEBOT, "2026-11-30"),
    KnownNetwork("157.55.39.0/24", "Bing", _BINGBOT, "2026-11-30"),
    KnownNetwork("207.46.13.0/24", "Bing", _BINGBOT, "2026-11-30"),
    KnownNetwork("40.77.167.0/24", "Bing", _BINGBOT, "2026-11-30"),
    KnownNetwork("13.66.139.0/24", "Bing", _BINGBOT, "2026-11-30"),
    KnownNetwork("149.154.160.0/20", "Telegram", _TELEGRAM, "2026-11-30"),
    KnownNetwork("91.108.4.0/22", "Telegram", _TELEGRAM, "2026-11-30"),
    KnownNetwork("31.13.24.0/21", "Meta", _META, "2026-11-30"),
    KnownNetwork("31.13.64.0/18", "Meta", _META, "2026-11-30"),
)

CLOUD_NETWORKS: tuple[KnownNetwork, ...] = tuple(
    KnownNetwork(network, "Amazon", _AWS, "2026-11-30")
    for network in (
        "3.208.0.0/12",
        "3.224.0.0/12",
        "18.204.0.0/14",
        "18.208.0.0/13",
        "18.232.0.0/14",
        "34.192.0.0/12",
        "34.208.0.0/12",
        "35.152.0.0/13",
        "44.192.0.0/11",
        "52.0.0.0/14",
        "52.20.0.0/14",
        "54.80.0.0/12",
        "54.144.0.0/12",
        "54.160.0.0/12",
    )
)
"""Some people browse from a cloud (desktops, gateways), so it is never evidence alone."""


@functools.lru_cache(maxsize=4096)
def is_cloud(network: str) -> bool:
    """Returns whether a network is one of a cloud's."""
    return _owner(network, _clouds()) != ""


@functools.lru_cache(maxsize=4096)
def scanner_of(network: str) -> str:
    """Returns who scans mails from a network; empty for no known one."""
    return _owner(network, _scanners())


Parsed = tuple[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str], ...]


def _owner(network: str, known: Parsed) -> str:
    try:
        found = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return ""
    for each, owner in known:
        if each.version == found.version and each.supernet_of(found):  # type: ignore[arg-type]
            return owner
    return ""


@functools.cache
def _scanners() -> Parsed:
    return tuple((ipaddress.ip_network(each.network), each.owner) for each in SCANNER_NETWORKS)


@functools.cache
def _clouds() -> Parsed:
    return tuple((ipaddress.ip_network(each.network), each.owner) for each in CLOUD_NETWORKS)
