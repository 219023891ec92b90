"""HTTP out: one client per provider and event loop, bounded in time and size, guarded against SSRF.

A call ends in an `Answer` or in an `HttpFault` that says whether the request may have been written:
that alone decides between "try again" and "nobody knows" (SPEC 7). Nothing follows redirects, takes
a proxy from the environment, or keeps cookies.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from yarl import URL

READ_LIMIT = 65_536
PORTS = frozenset({80, 443, 8080, 8443})
_CONNECT_SHARE = 1 / 3
_ODD = re.compile(r"[\x00-\x20\x7f\\]")
_UNICAST_V6 = ipaddress.ip_network("2000::/3")
# Inside 2000::/3, these lead to IPv4 or to nobody: Teredo and protocol assignments, 6to4,
# documentation. NAT64 (64:ff9b::/96), mapped, link-local and unique-local lie outside of it.
_REFUSED_V6 = tuple(
    ipaddress.ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_REFUSED_V4 = tuple(ipaddress.ip_network(text) for text in ("192.88.99.0/24", "192.0.0.0/24"))


class AddressRefused(Exception):
    """A URL that may not be called; code is `url_refused` or `address_refused`."""

    def __init__(self, detail: str, *, code: str = "address_refused") -> None:
        self.code = code
        super().__init__(detail)


class HttpFault(Exception):
    """A call that brought no answer. `written`: whether the request may have reached the server."""

    def __init__(self, code: str, detail: str, *, written: bool) -> None:
        self.code = code
        self.detail = detail
        self.written = written
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and what could be read of the body; complete is False when it was cut off."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    def text(self, limit: int = 2000) -> str:
        """The beginning of the body, for the encrypted record of the answer."""
        return self.body[:limit].decode("utf-8", "replace")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet's unicast addresses."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        return found in _UNICAST_V6 and not any(found in network for network in _REFUSED_V6)
    if found.is_multicast or found.is_reserved or not found.is_global:
        return False
    return not any(found in network for network in _REFUSED_V4)


def check_url(text: str, *, allow_private: bool) -> URL:
    """The URL as the client will use it: one parser, so that nothing is read in two ways.

    Raises:
        AddressRefused: for another scheme or port, a user name, odd characters, or a literal
            address that is not public (unless private addresses are allowed).
    """
    if _ODD.search(text) or "%" in text.partition("//")[2].partition("/")[0]:
        raise AddressRefused("the URL holds characters that no URL has", code="url_refused")
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise AddressRefused("the URL cannot be read", code="url_refused") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise AddressRefused("the URL is not http:// or https://", code="url_refused")
    if url.user is not None or url.password is not None:
        raise AddressRefused("the URL carries a user name", code="url_refused")
    if allow_private:
        return url.with_fragment(None)
    if port not in PORTS:
        raise AddressRefused(f"port {port} is not a web port", code="url_refused")
    if _is_literal(url.host) and not is_public(url.host):
        raise AddressRefused("the URL names an address that is not public")
    return url.with_fragment(None)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class GuardedResolver(AbstractResolver):
    """Resolves once; the connection is made to the addresses that were judged, so that a name
    cannot answer otherwise between the check and the connect (DNS rebinding).

    A name with any address that is not public is refused as a whole.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host, all public.

        Raises:
            AddressRefused: when one of them is not.
            OSError: when the name cannot be resolved.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        addresses = [(item[0], str(item[4][0])) for item in found]
        if not all(is_public(address) for _, address in addresses):
            raise AddressRefused("the host's name leads to an address that is not public")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class HttpClient:
    """A connection pool for one event loop. `request` opens it; `close` ends it.

    timeout_s bounds a whole call, a third of it the connecting. guarded turns the SSRF guard on;
    allow_private (development only) takes its ranges and ports off again.
    """

    timeout_s: float
    connections: int = 100
    guarded: bool = False
    allow_private: bool = False
    resolver: AbstractResolver | None = None
    _session: aiohttp.ClientSession | None = field(default=None, init=False)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Sends a request and reads the answer, at most READ_LIMIT bytes of it.

        Raises:
            HttpFault: when no status came back; its `written` tells what the server may have seen.
            AddressRefused: when the guard forbids the URL. Nothing was sent.
        """
        target = check_url(url, allow_private=self.allow_private) if self.guarded else URL(url)
        progress = _Progress()
        _progress.set(progress)
        try:
            async with self._opened().request(
                method,
                target,
                headers=headers,
                data=body,
                allow_redirects=False,
            ) as response:
                return await _answer(response)
        except aiohttp.InvalidURL as error:
            raise AddressRefused("the URL cannot be called", code="url_refused") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _fault_of(error, written=progress.written) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                timeout=aiohttp.ClientTimeout(
                    total=self.timeout_s, connect=self.timeout_s * _CONNECT_SHARE
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # a bomb stays a small, unread body
                trust_env=False,
                headers={"User-Agent": "Carillon", "Accept-Encoding": "identity"},
                request_class=_NotedRequest,
            )
        return self._session

    def _connector(self) -> aiohttp.TCPConnector:
        guard = GuardedResolver() if self.guarded and not self.allow_private else None
        return aiohttp.TCPConnector(
            limit=self.connections,
            resolver=self.resolver or guard,
            use_dns_cache=guard is None,
            keepalive_timeout=15,
        )

    async def close(self) -> None:
        """Closes the connections; a later request opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


class _Progress:
    """Whether a request may have been written."""

    __slots__ = ("written",)

    def __init__(self) -> None:
        self.written = False


_progress: ContextVar[_Progress] = ContextVar("progress")


class _NotedRequest(aiohttp.ClientRequest):
    """Notes the moment before the first byte goes out: what fails earlier was surely not sent.

    aiohttp's tracing tells the same at ten times the price: it wraps every step of every request.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        _progress.get().written = True
        return await super().send(conn)


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    """Reads on after the status. What goes wrong here no longer hides what the server said."""
    body = bytearray()
    complete = True
    length = response.content_length
    try:
        while len(body) <= READ_LIMIT and len(body) != length:
            chunk = await response.content.read(READ_LIMIT + 1 - len(body))
            if not chunk:
                break
            body += chunk
    except (aiohttp.ClientError, TimeoutError, OSError):
        complete = False
    if not complete or len(body) > READ_LIMIT:
        complete = False
        response.close()  # never into the pool: there is more to come on this connection
    return Answer(response.status, response.headers, bytes(body[:READ_LIMIT]), complete)


def _fault_of(error: Exception, *, written: bool) -> HttpFault:
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError)):
        code, detail = "tls", "no secure connection could be made"
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        code, detail = "dns", "the host's name cannot be resolved"
    elif isinstance(error, TimeoutError):
        code, detail = "timeout", "no answer in time"
    elif isinstance(error, aiohttp.ClientResponseError):
        code, detail = "garbage", "the answer is not HTTP"
    else:
        code, detail = "connection", "the connection failed"
    stage = "after" if written else "before"
    return HttpFault(code, f"{detail} ({stage} the request was written)", written=written)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, from either of its forms (RFC 9110 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - now).total_seconds())
