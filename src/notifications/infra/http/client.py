"""HTTP out: one client per provider and event loop, bounded in time and size, guarded against SSRF.

A call ends in a `Response` or in an `HttpFault`, which says whether the request may have been
written. That alone decides between a retry and an uncertain message. The client follows no
redirects, reads no proxy from the environment and stores no cookies.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import aiohappyeyeballs
from yarl import URL

from notifications.infra import clock
from notifications.infra.http.pool import ConnectionPool, HttpOrigin
from notifications.infra.http.wire import READ_LIMIT as READ_LIMIT
from notifications.infra.http.wire import NotHTTP, Wire
from notifications.infra.http.wire import Response as Response

PORTS = frozenset({80, 443, 8080, 8443})
_CONNECT_SHARE = 1 / 3
_NEXT_ADDRESS_S = 0.25
_DNS_CACHE_S = 10.0
_ODD = re.compile(r"[\x00-\x20\x7f\\]")
_UNICAST_V6 = ipaddress.ip_network("2000::/3")
# Inside 2000::/3, these lead to IPv4 or nowhere: Teredo and protocol assignments, 6to4,
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
    """A call without a response. `written`: whether the request may have reached the server."""

    def __init__(self, code: str, detail: str, *, written: bool) -> None:
        self.code = code
        self.detail = detail
        self.written = written
        super().__init__(detail)


def is_public(address: str) -> bool:
    """Returns whether an IP address is a public unicast address."""
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
    """Returns the URL as the client uses it. One parser ensures that no URL is read in two ways.

    Raises:
        AddressRefused: for another scheme or port, a user name, odd characters, or a literal
            address that is not public (unless private addresses are allowed).
    """
    if _ODD.search(text) or "%" in text.partition("//")[2].partition("/")[0]:
        raise AddressRefused("the URL holds characters that no URL has", code="url_refused")
    try:
        url = URL(text)
        port, host = url.port, url.host  # which decodes an international name, or fails
    except ValueError as error:
        raise AddressRefused("the URL cannot be read", code="url_refused") from error
    if url.scheme not in ("http", "https") or not host:
        raise AddressRefused("the URL is not http:// or https://", code="url_refused")
    if url.user is not None or url.password is not None:
        raise AddressRefused("the URL carries a user name", code="url_refused")
    if not _is_host(url.raw_host or ""):
        raise AddressRefused("the URL's host is no name of a host", code="url_refused")
    if allow_private:
        return url.with_fragment(None)
    if port not in PORTS:
        known = ", ".join(map(str, sorted(PORTS)))
        raise AddressRefused(f"port {port} is not a web port ({known})", code="url_refused")
    if _is_literal(host) and not is_public(host):
        raise AddressRefused("the URL names an address that is not public")
    return url.with_fragment(None)


def _is_host(raw: str) -> bool:
    """Returns whether a name can be looked up at all (RFC 1035): labels of 1 to 63 characters."""
    labels = raw.removesuffix(".").split(".")
    return len(raw) < 255 and all(0 < len(label) < 64 for label in labels)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""An entry of getaddrinfo: family, type, protocol, canonical name, socket address."""


class Resolver(Protocol):
    """Finds the addresses of a host."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Returns the addresses that may be connected to.

        Raises:
            AddressRefused: when the host may not be called.
            OSError, UnicodeError: when the name cannot be resolved.
        """


async def _lookup(host: str, port: int) -> Sequence[Address]:
    flags = 0 if _is_literal(host) else socket.AI_ADDRCONFIG
    return await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=flags
    )


class SystemResolver:
    """The machine's resolver, with a cache of some seconds."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], tuple[float, asyncio.Task[Sequence[Address]]]] = {}

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Returns the addresses of a host. Simultaneous calls share one lookup."""
        now = clock.monotonic()
        self._found = {name: entry for name, entry in self._found.items() if entry[0] > now}
        if (host, port) not in self._found:
            task = asyncio.get_running_loop().create_task(_lookup(host, port))
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            self._found[host, port] = (now + _DNS_CACHE_S, task)
        task = self._found[host, port][1]
        try:
            return await asyncio.shield(task)
        except Exception:
            self._found.pop((host, port), None)
            raise


class GuardedResolver:
    """Resolves once. The connection goes to the checked addresses, so that a name cannot resolve
    differently between check and connect (DNS rebinding).

    A name with any address that is not public is refused as a whole.
    """

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Returns the addresses of a host, all public."""
        found = await _lookup(host, port)
        if not all(is_public(str(item[4][0])) for item in found):
            raise AddressRefused("the host's name leads to an address that is not public")
        return found


class _Target(NamedTuple):
    """The target of a request: its origin, path and Host header."""

    origin: HttpOrigin
    path: str
    host: str


def _read_target(text: str) -> _Target:
    try:
        return _target_of(URL(text))
    except ValueError as error:
        raise AddressRefused("the URL cannot be called", code="url_refused") from error


def _target_of(url: URL) -> _Target:
    if url.scheme not in ("http", "https") or not url.raw_host or url.port is None:
        raise AddressRefused("the URL cannot be called", code="url_refused")
    origin = HttpOrigin(url.raw_host, url.port, url.scheme == "https")
    host = f"[{url.raw_host}]" if ":" in url.raw_host else url.raw_host
    if not url.is_default_port():
        host = f"{host}:{url.port}"
    return _Target(origin, url.raw_path_qs, host)


_known_target = lru_cache(256)(_read_target)


class HttpClient:
    """An HTTP client for one event loop. `request` opens connections; `close` ends them.

    timeout_s limits a whole call; the connection may use a third of it. guarded turns the SSRF
    guard on; allow_private (development only) turns off its checks of ranges and ports. read_limit:
    the most bytes of a body that are read.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        connections: int = 100,
        guarded: bool = False,
        allow_private: bool = False,
        resolver: Resolver | None = None,
        read_limit: int = READ_LIMIT,
    ) -> None:
        self.timeout_s = timeout_s
        self.guarded = guarded
        self.allow_private = allow_private
        checking = guarded and not allow_private
        self._resolver = resolver or (GuardedResolver() if checking else SystemResolver())
        self._pool = ConnectionPool(self._dial, limit=connections, read_limit=read_limit)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> Response:
        """Sends a request and reads the response, at most `read_limit` bytes of it.

        Raises:
            HttpFault: when no status came back; `written` says whether the server may have it.
            AddressRefused: when the guard forbids the URL. Nothing was sent.
            ValueError: for a header that holds a line break.
        """
        if self.guarded:
            target = _target_of(check_url(url, allow_private=self.allow_private))
        else:
            target = _known_target(url)
        request = _bytes_of(method, target, headers, body)
        began = clock.monotonic()
        wire = self._pool.acquire_idle(target.origin) or await self._connected(target.origin)
        try:
            return await wire.exchange(request, began + self.timeout_s - clock.monotonic())
        except (OSError, NotHTTP) as error:
            raise _fault_of(error, written=True) from error
        finally:
            self._pool.release(target.origin, wire)

    async def _connected(self, origin: HttpOrigin) -> Wire:
        try:
            async with asyncio.timeout(self.timeout_s * _CONNECT_SHARE):
                return await self._pool.acquire(origin)
        except (OSError, UnicodeError) as error:
            raise _fault_of(error, written=False) from error

    async def _dial(self, origin: HttpOrigin, wire: Wire) -> None:
        """Connects to the first address of the host that responds (RFC 8305)."""
        addresses = await self._resolver.resolve(origin.host, origin.port)
        connected = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1
        )
        await asyncio.get_running_loop().create_connection(
            lambda: wire,
            sock=connected,
            ssl=_tls() if origin.tls else None,
            server_hostname=origin.host.rstrip(".") if origin.tls else None,
        )

    async def close(self) -> None:
        """Closes the connections; a later request opens new ones."""
        await self._pool.close()


@lru_cache(1)
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _bytes_of(method: str, target: _Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
        raise ValueError("a header holds a line break")
    length = f"Content-Length: {len(body)}\r\n" if body or method != "GET" else ""
    return (
        f"{method} {target.path} HTTP/1.1\r\nHost: {target.host}\r\n"
        "User-Agent: Carillon\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        f"{lines}{length}\r\n"
    ).encode() + body


def _fault_of(error: Exception, *, written: bool) -> HttpFault:
    if isinstance(error, ssl.SSLError):
        code, detail = "tls", "no secure connection could be made"
    elif isinstance(error, socket.gaierror | UnicodeError):
        code, detail = "dns", "the host's name cannot be resolved"
    elif isinstance(error, TimeoutError):
        code, detail = "timeout", "no response in time"
    elif isinstance(error, NotHTTP):
        code, detail = "invalid_response", "the response is not HTTP"
    else:
        code, detail = "connection", "the connection failed"
    stage = "after" if written else "before"
    return HttpFault(code, f"{detail} ({stage} the request was written)", written=written)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns the seconds of a Retry-After header, from either of its forms (RFC 9110 10.2.3)."""
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
