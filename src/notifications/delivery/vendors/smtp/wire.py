"""One SMTP connection that sends one mail after another: opened by aiosmtplib, used by this module.

aiosmtplib connects, greets, starts TLS and logs in. Its `sendmail` would then wait for a reply to
each of four commands and read the content line by line. This module sends the envelope as one
group if the server offers PIPELINING (RFC 2920): two round trips instead of four.
docs/reference/provider-contract.md has the measurements.

A failure says whether the content may have been written: before that, nothing was sent.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import aiosmtplib

from notifications.delivery.mail.mime import Mail
from notifications.delivery.vendors.smtp import chunks as smtp_chunks
from notifications.delivery.vendors.smtp.replies import (
    CLOSING,
    SmtpLost,
    SmtpRefused,
    SmtpReply,
    Stage,
    refusal,
)

_REPLY_LIMIT = 65_536
_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})([ -]|$)(.*)", re.DOTALL)
_GO_AHEAD = 354


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The address of a server, and how to connect."""

    host: str
    port: int
    #: auto, none, starttls or tls.
    tls: str
    user: str
    password: str
    greeting_name: str
    tls_context: ssl.SSLContext | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, so that no password crosses the network."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


async def connect(
    server: SmtpServer, timeout_s: float, *, connected: socket.socket | None = None
) -> SmtpConnection:
    """Opens a connection: greets, encrypts and logs in as the server's settings require.

    connected: a socket that is connected to the server, where the caller chose the address.

    Raises:
        SmtpLost: the connection failed; nothing of any mail was written.
    """
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=None if connected else server.port,
        sock=connected,
        local_hostname=server.greeting_name,
        use_tls=server.tls == "tls",
        start_tls={"auto": None, "starttls": True}.get(server.tls, False),
        tls_context=server.tls_context,
        timeout=timeout_s,
    )
    try:
        async with asyncio.timeout(timeout_s):
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            if server.user:
                await _login(client, server)
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        client.close()
        raise SmtpLost(_code_of(error)) from error
    except BaseException:
        client.close()
        raise
    return _adopt(client)


async def _login(client: aiosmtplib.SMTP, server: SmtpServer) -> None:
    encrypted = client.get_transport_info("sslcontext") is not None
    if server.tls == "auto" and not encrypted and not server.is_loopback:
        raise aiosmtplib.SMTPException("a password is never sent over an unencrypted network")
    if not client.supported_auth_methods:
        raise aiosmtplib.SMTPAuthenticationError(538, "the server offers no login")
    await client.login(server.user, server.password)


def _adopt(client: aiosmtplib.SMTP) -> SmtpConnection:
    if client.transport is None or client.transport.is_closing():
        raise SmtpLost("connection")
    transport = cast(asyncio.Transport, client.transport)
    connection = SmtpConnection(
        transport,
        pipelining=client.supports_extension("pipelining"),
        smtputf8=client.supports_extension("smtputf8"),
        chunking=client.supports_extension("chunking"),
    )
    transport.set_protocol(connection)
    return connection


def _code_of(error: BaseException) -> str:
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__
    if any(isinstance(one, aiosmtplib.SMTPAuthenticationError) for one in causes):
        return "auth"
    # aiosmtplib raises the base class if STARTTLS is required and not offered.
    if type(error) is aiosmtplib.SMTPException:
        return "tls"
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return "tls"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "greeting" if isinstance(error, aiosmtplib.SMTPResponseException) else "connection"


class SmtpConnection(asyncio.Protocol):
    """Sends one mail after another; it is unusable after the first SmtpLost."""

    def __init__(
        self, transport: asyncio.Transport, *, pipelining: bool, smtputf8: bool, chunking: bool
    ) -> None:
        self.smtputf8 = smtputf8
        self.takes_groups = pipelining and chunking
        self.idle_since = 0.0
        self._transport = transport
        self._pipelining = pipelining
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._lines: list[bytes] = []
        self._replies: deque[SmtpReply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._expected = 0
        self._lost = ""
        self._written = False
        self._reset_first = False
        self._ahead: Mail | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is by TLS."""
        return self._transport.get_extra_info("sslcontext") is not None

    @property
    def is_usable(self) -> bool:
        """Whether another mail may be sent here, as far as is known without a command."""
        if self._lost or self._transport.is_closing():
            return False
        return self._ahead is not None or not self._replies

    async def deliver(
        self, mail: Mail, *, timeout_s: float, ahead: Callable[[], Mail | None] | None = None
    ) -> SmtpReply:
        """Sends a mail and returns the server's final positive reply.

        Args:
            ahead: returns the next mail for this connection, or None. Its envelope is part of the
                write that carries this mail's content, which saves a round trip. RFC 2920 3.1
                allows content at the start of a group. It must be the next mail delivered here.

        Raises:
            SmtpRefused: the server refused; the connection remains usable unless the code was 421.
            SmtpLost: no reply came, or none that is SMTP.
        """
        self._written = False
        timer = self._loop.call_later(timeout_s, self._lose, "timeout")
        try:
            await self._envelope(mail)
            if not self.is_usable:
                raise SmtpLost(self._lost or "connection")
            self._written = True
            following = ahead() if ahead is not None and self._pipelining else None
            content = stuffed(mail.content)
            if following is not None:
                content += b"".join(self._commands(following))
            self._transport.write(content)
            reply = (await self._replies_of(1))[0]
            self._ahead = following
        except SmtpRefused as refused:
            if refused.reply.code == CLOSING:
                self.abort()
            raise
        finally:
            timer.cancel()
        if reply.code == CLOSING:
            self.abort()
        if not 200 <= reply.code < 300:
            self._reset_first = True
            raise SmtpRefused(Stage.CONTENT, reply, written=True)
        return reply

    async def deliver_group(
        self, mails: Sequence[Mail], *, timeout_s: float
    ) -> list[smtp_chunks.Result]:
        """Sends several mails in one write, if `takes_groups`; returns the result of each.

        It raises nothing. A mail without a reply is uncertain, because all contents were written at
        once.
        """
        reset_first, self._reset_first, self._written = self._reset_first, True, True
        expected = smtp_chunks.replies_to(len(mails), reset_first=reset_first)
        timer = self._loop.call_later(timeout_s, self._lose, "timeout")
        try:
            self._transport.write(smtp_chunks.group(mails, reset_first=reset_first))
            replies: Sequence[SmtpReply] = await self._replies_of(expected)
        except SmtpLost:
            replies = list(self._replies)
        finally:
            timer.cancel()
        results, understood = smtp_chunks.results(
            replies, len(mails), reset_first=reset_first, lost=self._lost or "connection"
        )
        if not understood or any(reply.code == CLOSING for reply in replies):
            self.abort()
        self._reset_first = not isinstance(results[-1], SmtpReply)
        return results

    def _commands(self, mail: Mail) -> list[bytes]:
        option = " SMTPUTF8" if mail.smtputf8 else ""
        return [
            f"MAIL FROM:<{mail.sender}>{option}\r\n".encode(),
            f"RCPT TO:<{mail.recipient}>\r\n".encode(),
            b"DATA\r\n",
        ]

    async def _envelope(self, mail: Mail) -> None:
        """Sends the envelope and reads the replies, up to the 354 that precedes the content."""
        if self._ahead is mail:
            reset_first, self._reset_first, self._ahead = self._reset_first, True, None
            try:
                await self._check_envelope(await self._replies_of(3), 3)
                return
            except SmtpRefused:
                # The mail before was refused after its content, and this server then requires RSET.
                if not reset_first or not self.is_usable:
                    raise
        commands = self._commands(mail)
        if self._reset_first:
            # The refused mail before this one may have left half an envelope open.
            commands.insert(0, b"RSET\r\n")
        self._reset_first = True
        await self._check_envelope(await self._send_commands(commands), len(commands))

    async def _check_envelope(self, replies: Sequence[SmtpReply], sent: int) -> None:
        """Checks the replies to an envelope; returns if the content may follow, else raises."""
        refused = refusal(replies[sent - 3 :])
        if len(replies) == sent and replies[-1].code == _GO_AHEAD:
            if refused is None:
                self._reset_first = False
                return
            # RFC 2920 3.1: DATA was accepted although no recipient was; end the content at once.
            self._transport.write(b".\r\n")
            await self._replies_of(1)
        if refused is None:
            refused = SmtpRefused(Stage.SENDER, replies[-1])
        raise refused

    async def _send_commands(self, commands: Sequence[bytes]) -> list[SmtpReply]:
        if self._pipelining:
            self._transport.write(b"".join(commands))
            return await self._replies_of(len(commands))
        replies: list[SmtpReply] = []
        for command in commands:
            self._transport.write(command)
            replies += await self._replies_of(1)
            if replies[-1].code >= 400:
                break
        return replies

    async def _replies_of(self, number: int) -> list[SmtpReply]:
        if len(self._replies) < number:
            if self._lost or self._transport.is_closing():
                raise SmtpLost(self._lost or "connection", written=self._written)
            self._expected = number
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return [self._replies.popleft() for _ in range(number)]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            found = _REPLY_LINE.match(line.rstrip(b"\r"))
            if found is None:
                self._lose("invalid_response")
                return
            self._lines.append(found[3])
            if found[2] != b"-":
                text = b"\n".join(self._lines).decode("utf-8", "replace")
                self._lines.clear()
                self._replies.append(SmtpReply(int(found[1]), text))
        if len(self._buffer) + sum(map(len, self._lines)) > _REPLY_LIMIT:
            self._lose("invalid_response")
        elif self._waiter and not self._waiter.done() and len(self._replies) >= self._expected:
            self._waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._lose("connection")

    def _lose(self, code: str) -> None:
        """Ends the connection; the caller that waits for a reply gets SmtpLost."""
        self._lost = self._lost or code
        if not self._transport.is_closing():
            self._transport.abort()
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(SmtpLost(self._lost, written=self._written))

    def abort(self) -> None:
        """Ends the connection without QUIT."""
        self._lose("connection")

    def close(self) -> None:
        """Sends QUIT and ends the connection."""
        if not self._transport.is_closing():
            self._transport.write(b"QUIT\r\n")
            self._transport.close()


def stuffed(content: bytes) -> bytes:
    """Returns content in the form of DATA: dots at line starts doubled, and the end marked."""
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
