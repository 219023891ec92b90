"""What the DNS says, beyond addresses."""

from __future__ import annotations

import dns.asyncresolver
import dns.exception
import dns.resolver


async def txt_records(name: str, *, timeout_s: float) -> list[str]:
    """The texts of a name's TXT records, each in one piece; none when there is no such name.

    Raises:
        OSError: when no server answers in time.
    """
    try:
        answer = await dns.asyncresolver.resolve(name, "TXT", lifetime=timeout_s)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException as error:
        raise OSError("no name server answers") from error
    return [b"".join(record.strings).decode("ascii", "replace") for record in answer]
