"""Tries an SMTP server that is not in use yet: address, connection, encryption, login, one mail."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from notifications.delivery.mail.mime import Mail
from notifications.delivery.vendors.smtp.dkim import DkimKey, signed
from notifications.delivery.vendors.smtp.faults import result_of
from notifications.delivery.vendors.smtp.replies import SmtpLost, SmtpRefused, SmtpReply
from notifications.delivery.vendors.smtp.send import greeting_name_of, tls_context_of
from notifications.delivery.vendors.smtp.wire import SmtpConnection, SmtpServer, connect
from notifications.domain.messages import Verdict
from notifications.features.providers.mail_dns import MailFinding, Mark, finding
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import is_public

TRIAL_S = 9.5
"""The longest time of a trial as a whole."""
RESOLVE_S, CONNECT_S, DELIVER_S = 2.0, 3.0, 2.0
"""The longest time of a lookup and of a connection, and what is left for the mail."""
MAIL_PORTS = frozenset({25, 465, 587})
"""The ports below 1024 that are of mail servers."""
_FIRST_FREE_PORT = 1024
_LOCAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7"),
    )
)
"""Networks of this machine and its neighbours, where many mail servers are."""
# Not the loop's own executor: a loop that ends waits for that one, and a lookup may hang.
_resolving = ThreadPoolExecutor(max_workers=2, thread_name_prefix="mail-trial")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """An SMTP server as an operator describes it."""

    host: str
    port: int
    #: auto, none, starttls or tls.
    tls: str
    user: str
    password: str


def is_mail_port(port: int) -> bool:
    """Returns whether a mail server may listen at a port: not one of another known service."""
    return port in MAIL_PORTS or _FIRST_FREE_PORT <= port <= 65_535


def may_connect(address: str) -> bool:
    """Returns whether a trial may connect to an IP address.

    Public addresses and those of private networks. Link-local ones are refused, where clouds serve
    their secrets.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return is_public(address) or any(found in network for network in _LOCAL)


async def try_server(
    server: MailServer, mail: Mail, keys: Sequence[DkimKey]
) -> tuple[list[MailFinding], bool]:
    """Connects to a server, logs in and sends one mail.

    Returns what was found, one finding for each step up to the one that failed, and whether the
    server accepted the mail.
    """
    end = asyncio.get_running_loop().time() + TRIAL_S
    try:
        address = await _address_of(server)
    except OSError:
        return [finding("server", Mark.BAD, "unknown_name", server.host)], False
    if not address:
        return [finding("server", Mark.BAD, "refused_address", server.host)], False
    described = SmtpServer(
        host=server.host,
        port=server.port,
        tls=server.tls,
        user=server.user,
        password=server.password,
        greeting_name=greeting_name_of(environment().public_url),
        tls_context=tls_context_of(server.tls, server.user),
    )
    found = [finding("server", Mark.GOOD, "found", f"{address}, port {server.port}")]
    try:
        connection = await _open(described, address, end)
    except SmtpLost as lost:
        step = {"auth": "login", "tls": "encryption"}.get(lost.code, "connection")
        return [*found, finding(step, Mark.BAD, lost.code, _reply_in(lost))], False
    found.append(finding("connection", Mark.GOOD, "open"))
    found.append(_encryption(connection, described))
    if server.user:
        found.append(finding("login", Mark.GOOD, "accepted"))
    sent = await _send(connection, mail, keys, end)
    return [*found, sent], sent.mark is Mark.GOOD


async def _address_of(server: MailServer) -> str:
    """Returns the address to connect to; empty where the name leads to one that is refused.

    Raises:
        OSError: the name has no address, or no name server responds in time.
    """
    looked_up = asyncio.get_running_loop().run_in_executor(
        _resolving, _lookup, server.host, server.port
    )
    async with asyncio.timeout(RESOLVE_S):
        addresses = await looked_up
    return addresses[0] if all(map(may_connect, addresses)) else ""


def _lookup(host: str, port: int) -> list[str]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # IPv4 first: many machines have IPv6 addresses of names, and no way to them.
    rows.sort(key=lambda row: row[0] != socket.AF_INET)
    return [str(row[4][0]) for row in rows]


async def _open(server: SmtpServer, address: str, end: float) -> SmtpConnection:
    """Connects to the checked address, so that the name cannot lead elsewhere meanwhile.

    end: when the trial ends, in the loop's time.

    Raises:
        SmtpLost: the connection, the encryption or the login failed.
    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connected = socket.socket(family, socket.SOCK_STREAM)
    connected.setblocking(False)
    try:
        async with asyncio.timeout(CONNECT_S):
            await loop.sock_connect(connected, (address, server.port))
    except OSError as error:
        connected.close()
        code = "timeout" if isinstance(error, TimeoutError) else "connection"
        raise SmtpLost(code) from error
    try:
        return await connect(server, end - loop.time() - DELIVER_S, connected=connected)
    except BaseException:
        connected.close()
        raise


def _encryption(connection: SmtpConnection, server: SmtpServer) -> MailFinding:
    if connection.is_encrypted:
        return finding("encryption", Mark.GOOD, "encrypted")
    if server.is_loopback:
        return finding("encryption", Mark.GOOD, "not_needed")
    return finding("encryption", Mark.WARN, "none")


async def _send(
    connection: SmtpConnection, mail: Mail, keys: Sequence[DkimKey], end: float
) -> MailFinding:
    whole = signed(mail, keys, at_s=int(clock.now().timestamp())) if keys else mail
    reply: SmtpReply | Exception
    try:
        left = max(DELIVER_S / 2, end - asyncio.get_running_loop().time())
        reply = await connection.deliver(whole, timeout_s=left)
    except (SmtpRefused, SmtpLost) as error:
        reply = error
    finally:
        connection.close()
    result = result_of(whole, reply)
    said = str(result.response.get("text", "")) if result.response else ""
    if result.verdict is Verdict.SENT:
        return finding("mail", Mark.GOOD, "accepted", said)
    return finding("mail", Mark.BAD, _refusal(result.error_code), f"{result.error} {said}".strip())


def _refusal(code: str) -> str:
    """Returns the group of a fault for which a page has words."""
    if code in ("auth", "smtp_530"):
        return "login_required"
    return "refused" if code.startswith("smtp_") else "lost"


def _reply_in(lost: SmtpLost) -> str:
    """Returns what the server or the operating system said; empty where it said nothing."""
    cause = lost.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    return " ".join(str(cause).split()) if cause is not None else ""
