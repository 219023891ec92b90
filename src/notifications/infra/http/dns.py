"""Reads DNS records other than addresses."""

from __future__ import annotations

from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver


async def txt_records(name: str, *, timeout_s: float) -> list[str]:
    """Returns the texts of a name's TXT records, each in one piece; none for an unknown name.

    Raises:
        OSError: when no server responds in time.
    """
    found = await _records(name, "TXT", timeout_s)
    return [b"".join(record.strings).decode("ascii", "replace") for record in found]


async def mail_hosts(name: str, *, timeout_s: float) -> list[str]:
    """Returns the hosts of a domain's MX records, the preferred first; none for an unknown name.

    A domain that takes no mail (RFC 7505) has the one host `.`.

    Raises:
        OSError: when no server responds in time.
    """
    found = await _records(name, "MX", timeout_s)
    pairs = sorted((record.preference, record.exchange.to_text()) for record in found)
    return [host.rstrip(".") or "." for _, host in pairs]


async def _records(name: str, kind: str, timeout_s: float) -> list[Any]:
    try:
        return list(await dns.asyncresolver.resolve(name, kind, lifetime=timeout_s))
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException as error:
        raise OSError("no name server responds") from error
