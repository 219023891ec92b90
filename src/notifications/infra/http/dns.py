"""Reads DNS records other than addresses."""

from __future__ import annotations

import dns.asyncresolver
import dns.exception
import dns.resolver


async def txt_records(name: str, *, timeout_s: float) -> list[str]:
    """Returns the texts of a name's TXT records, each in one piece; none for an unknown name.

    Raises:
        OSError: when no server responds in time.
    """
    try:
        response = await dns.asyncresolver.resolve(name, "TXT", lifetime=timeout_s)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException as error:
        raise OSError("no name server responds") from error
    return [b"".join(record.strings).decode("ascii", "replace") for record in response]
