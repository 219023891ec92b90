"""Finds the address of a client behind proxies."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence

from django.http import HttpRequest

from notifications.infra.conf import environment

_THIS_MACHINE = "127.0.0.1"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(remote: str, forwarded: str, trusted: Sequence[str]) -> str:
    """Returns the address of the client: the last one that is no trusted proxy's.

    remote: the connected address. forwarded: the X-Forwarded-For header, to which each proxy adds
    the address of its client. trusted: addresses and networks of proxies; entries of others are
    ignored. A proxy at a unix socket has no address: it is on this machine, and trusted like
    127.0.0.1.
    """
    remote = _plain(remote) or remote
    if not trusted or not _is_trusted(remote or _THIS_MACHINE, tuple(trusted)):
        return remote
    address = remote
    for each in reversed(forwarded.split(",")[-20:]):
        found = _plain(each.strip())
        if not found:
            return address
        address = found
        if not _is_trusted(found, tuple(trusted)):
            return address
    return address


def network_of(address: str) -> str:
    """Returns the network of one client: an IPv4 address, or an IPv6 network of 64 bits."""
    found = _plain(address)
    if ":" not in found:
        return found or address
    return str(ipaddress.ip_network(f"{found.partition('%')[0]}/64", strict=False))


def _plain(text: str) -> str:
    """Returns an address without its port; empty for what is no address.

    An IPv4 address that is written as IPv6 (`::ffff:192.0.2.7`) is returned as IPv4: otherwise
    networks of it would not be found, and all such clients would be one network of 64 bits.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def _is_trusted(address: str, trusted: tuple[str, ...]) -> bool:
    plain = _plain(address)
    if not plain:
        return False
    found = ipaddress.ip_address(plain)
    return any(found in network for network in _networks(trusted))


@functools.cache
def _networks(trusted: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(each, strict=False) for each in trusted)


def address_of(request: HttpRequest) -> str:
    """Returns the client's address, by CARILLON_TRUSTED_PROXIES."""
    return client_address(
        str(request.META.get("REMOTE_ADDR") or ""),
        request.META.get("HTTP_X_FORWARDED_FOR", ""),
        environment().trusted_proxies,
    )


def is_from_proxy(request: HttpRequest) -> bool:
    """Returns whether the request came through a proxy of CARILLON_TRUSTED_PROXIES."""
    trusted = environment().trusted_proxies
    remote = _plain(str(request.META.get("REMOTE_ADDR") or "")) or _THIS_MACHINE
    return bool(trusted) and _is_trusted(remote, tuple(trusted))
