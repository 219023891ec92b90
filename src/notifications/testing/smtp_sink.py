"""An SMTP server on loopback that accepts every mail, or follows a script."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from notifications.testing.loopback import Act, Sink, reset


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail that the sink received: its envelope, and its content without dot-stuffing."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


Scripted = bytes | Act | None
SMTPScript = Callable[[str, str], Scripted]


def by_verb(**replies: Scripted) -> SMTPScript:
    """Returns a script that always gives these replies to these verbs; others get the default."""
    return lambda verb, _line: replies.get(verb)


class SMTPSink(Sink):
    """An SMTP server that accepts every mail.

    Args:
        store: whether `messages` stores the mails; `count` counts them in any case.
        script: called with a verb and its line; its return value replaces the default reply. The
            verbs are CONNECT, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, RSET, NOOP and QUIT. For the
            content they are BODY (its first bytes arrived) and END (its last bytes arrived).
        on_mail: called with each accepted mail, in the server's thread.
        pipelining: whether it offers PIPELINING.
        chunking: whether it offers CHUNKING (BDAT), as Postfix, Exim and Exchange do.
        tls: offers STARTTLS with this context; with implicit_tls it uses TLS from the start.
        login: `user:password`; it offers and requires AUTH PLAIN.
        data_without_recipient: replies 354 without a recipient, as RFC 2920 allows.
    """

    def __init__(
        self,
        *,
        store: bool = True,
        script: SMTPScript | None = None,
        on_mail: Callable[[ReceivedMail], None] | None = None,
        pipelining: bool = True,
        chunking: bool = True,
        smtputf8: bool = True,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        login: str = "",
        data_without_recipient: bool = False,
    ) -> None:
        super().__init__()
        self.messages: list[ReceivedMail] = []
        self.connections = 0
        self.script = script
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.login = login
        self.pipelining = pipelining
        self.chunking = chunking
        self.smtputf8 = smtputf8
        self.data_without_recipient = data_without_recipient
        self._store = store
        self._on_mail = on_mail

    def connection(self) -> asyncio.Protocol:
        return _SMTPConnection(self)

    async def start(self) -> Self:
        if not self.implicit_tls:
            return await super().start()
        self._server = await asyncio.get_running_loop().create_server(
            self.connection, self.host, self.port, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def receive(self, mail: ReceivedMail) -> None:
        self.count += 1
        if self._store:
            self.messages.append(mail)
        if self._on_mail is not None:
            self._on_mail(mail)


class _SMTPConnection(asyncio.Protocol):
    def __init__(self, sink: SMTPSink) -> None:
        self._sink = sink
        self._buffer = b""
        self._out: list[bytes] = []
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._content: list[bytes] | None = None
        self._chunk = -1  # missing bytes of a BDAT's content; -1 outside of a BDAT
        self._tls = sink.implicit_tls
        self._logged_in = not sink.login
        self._upgrade: asyncio.Task[None] | None = None
        self._replies: Mapping[str, Callable[[str], bytes]] = {
            "EHLO": self._ehlo,
            "HELO": lambda _: b"250 sink\r\n",
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": lambda _: b"250 OK\r\n",
            "QUIT": lambda _: b"221 Bye\r\n",
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._sink.add(transport)
        self._sink.connections += 1
        self._do("CONNECT", "", lambda _: b"220 sink ESMTP\r\n")
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.remove(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._upgrade is not None:
            return  # the client's first bytes over TLS can arrive before the upgrading task resumes
        self._work()

    def _work(self) -> None:
        while self._buffer and not self._transport.is_closing():
            if self._chunk >= 0:
                more = self._read_chunk()
            else:
                more = self._read_content() if self._content is not None else self._read_line()
            if not more:
                break
        self._flush()

    def _flush(self) -> None:
        if self._out and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _read_line(self) -> bool:
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            return False
        self._buffer = rest
        if line[:5] == b"BDAT " and self._sink.chunking:
            self._chunk = int(line.split()[1])
            return self._read_chunk()
        text = line.decode("utf-8", "replace")
        verb = text[:8].upper() if text[:8].upper() == "STARTTLS" else text[:4].upper()
        self._do(verb, text, self._replies.get(verb, lambda _: b"502 5.5.1 What?\r\n"))
        if verb == "QUIT":
            self._flush()
            self._transport.close()
        return True

    def _do(self, verb: str, line: str, default: Callable[[str], bytes]) -> None:
        scripted = self._sink.script(verb, line) if self._sink.script else None
        if scripted is None:
            self._out.append(default(line))
        elif isinstance(scripted, bytes):
            self._out.append(scripted)
        elif scripted is Act.DROP:
            self._flush()
            self._transport.close()
        elif scripted is Act.RESET:
            self._out.clear()
            reset(self._transport)

    def _read_content(self) -> bool:
        assert self._content is not None
        if not self._content:
            self._content.append(b"\r\n")  # so that a first line of "." is found as well
            self._do("BODY", "", lambda _: b"")
            if self._transport.is_closing():
                return False
        content = b"".join(self._content) + self._buffer
        end = content.find(b"\r\n.\r\n")
        if end < 0:
            self._content, self._buffer = [content], b""
            return False
        self._buffer = content[end + 5 :]
        plain = content[2 : end + 2].replace(b"\r\n..", b"\r\n.")
        plain = plain[1:] if plain.startswith(b"..") else plain
        mail = ReceivedMail(self._sender or "", tuple(self._recipients), plain)
        self._content = None
        self._do("END", "", lambda _: self._receive(mail))
        self._rset("")
        return True

    def _read_chunk(self) -> bool:
        """Reads one BDAT with LAST (RFC 3030): the whole content, unchanged."""
        if len(self._buffer) < self._chunk:
            return False
        chunk, self._buffer = self._buffer[: self._chunk], self._buffer[self._chunk :]
        self._chunk = -1
        self._do("BODY", "", lambda _: b"")
        if not self._transport.is_closing():
            mail = ReceivedMail(self._sender or "", tuple(self._recipients), chunk)
            self._do("END", "", lambda _: self._receive(mail))
            self._sender, self._recipients = None, []
        return True

    def _receive(self, mail: ReceivedMail) -> bytes:
        if not mail.recipients:
            return b"554 5.5.1 No valid recipients\r\n"
        self._sink.receive(mail)
        return b"250 2.0.0 OK\r\n"

    def _ehlo(self, _line: str) -> bytes:
        words = ["sink", "8BITMIME", "ENHANCEDSTATUSCODES"]
        words += ["PIPELINING"] if self._sink.pipelining else []
        words += ["CHUNKING"] if self._sink.chunking else []
        words += ["SMTPUTF8"] if self._sink.smtputf8 else []
        words += ["STARTTLS"] if self._sink.tls is not None and not self._tls else []
        words += ["AUTH PLAIN LOGIN"] if self._sink.login else []
        lines = [f"250-{word}\r\n" for word in words[:-1]] + [f"250 {words[-1]}\r\n"]
        return "".join(lines).encode()

    def _starttls(self, _line: str) -> bytes:
        if self._sink.tls is None:
            return b"502 5.5.1 Not here\r\n"
        self._out.append(b"220 Go ahead\r\n")
        self._flush()
        self._transport.pause_reading()
        self._upgrade = asyncio.get_running_loop().create_task(self._speak_tls(self._sink.tls))
        return b""

    async def _speak_tls(self, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(self._transport, self, context, server_side=True)
        except (OSError, ssl.SSLError):
            self._transport.abort()
            return
        if secured is None:
            return
        self._sink.remove(self._transport)
        self._transport = self._sink.add(secured)
        self._tls = True
        self._upgrade = None
        self._work()

    def _auth(self, line: str) -> bytes:
        user, _, password = self._sink.login.partition(":")
        plain = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        if line == f"AUTH PLAIN {plain}":
            self._logged_in = True
            return b"235 2.7.0 Welcome\r\n"
        return b"535 5.7.8 Bad credentials\r\n"

    def _mail(self, line: str) -> bytes:
        if not self._logged_in:
            return b"530 5.7.0 Authentication required\r\n"
        self._sender = _path(line)
        return b"250 2.1.0 OK\r\n"

    def _rcpt(self, line: str) -> bytes:
        if self._sender is None:
            return b"503 5.5.1 MAIL first\r\n"
        self._recipients.append(_path(line))
        return b"250 2.1.5 OK\r\n"

    def _data(self, _line: str) -> bytes:
        if not self._recipients and not self._sink.data_without_recipient:
            return b"503 5.5.1 RCPT first\r\n"
        self._content = []
        return b"354 Go ahead\r\n"

    def _rset(self, _line: str) -> bytes:
        self._sender, self._recipients = None, []
        return b"250 2.0.0 OK\r\n"


def _path(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
