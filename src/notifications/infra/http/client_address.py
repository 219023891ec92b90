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
    if not trusted or not _is_trusted(remote or _THIS_MACHINE, tuple(trusted)):
        return remote
    address = remote
    for each in reversed(forwarded.split(",")[-20:]):
        found = each.strip()
        if not _is_address(found):
            return address
        address = found
        if not _is_trusted(found, tuple(trusted)):
            return address
    return address


def network_of(address: str) -> str:
    """Returns the network of one client: an IPv4 address, or an IPv6 network of 64 bits."""
    if not _is_address(address) or ":" not in address:
        return address
    return str(ipaddress.ip_network(f"{address}/64", strict=False))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(address: str, trusted: tuple[str, ...]) -> bool:
    if not _is_address(address):
        return False
    found = ipaddress.ip_address(address)
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
