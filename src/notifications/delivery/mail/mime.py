"""Builds mails as bytes from compiled skeletons: the constant part of a mail is built once.

The constant part (structure, boundaries, content types and transfer encodings) depends only on the
mail's shape and is cached per shape. Each mail adds its own headers and encoded bodies. The
standard library's EmailMessage builds and flattens a tree for each mail and takes about fifty times
as long.

Sources: RFC 5322 (headers, folding), 2045/2046 (MIME), 2047 (encoded words), 6532 (SMTPUTF8),
3834 (Auto-Submitted). Lines end in CRLF. A header value with CR, LF or NUL is refused.
"""

from __future__ import annotations

import binascii
import functools
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from types import MappingProxyType
from urllib.parse import quote

from directory.addresses import AddressFault, read_email
from notifications.domain.messages import TYPE_PARAMETER, Attachment
from notifications.infra.byte_cache import ByteCache

LINE_LIMIT = 998
_FOLD_AT = 78
# RFC 2047: an encoded word has at most 75 characters, its line 76. "=?utf-8?b?" and "?=" take 12.
_WORD_BYTES = 45
_LEAST_WORD_BYTES = 6  # with less space, the first word gets its own line
_BASE64_LINE = 76
_HIGH_BYTES = bytes(range(128, 256))
_PLAIN_VALUE = re.compile(r"[!-~]+(?: [!-~]+)*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_BROKEN = re.compile(r"[\r\n\0]")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
# A sender may also be notifications@localhost.
_LOCAL_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_REFERENCE = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")
_STRUCTURE = ("mime-version", "content-type", "content-transfer-encoding", "content-disposition")
_TRACE = ("received", "return-path", "auto-submitted")
_NAMES = ("from", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "sender")
_OURS = frozenset(_STRUCTURE + _TRACE + _NAMES)
# A random boundary, so that no content contains it. A body that contains it nevertheless is encoded
# as quoted-printable, in which "=_" never occurs.
_UNGUESSED = f"=_{secrets.token_hex(16)}"
_BOUNDARY, _MIXED = f"{_UNGUESSED}a", f"{_UNGUESSED}b"  # neither is a prefix of the other
_DASHED = f"--{_UNGUESSED}".encode()
_TOP = b"MIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n"
_MIXED_HEAD = (
    f'Content-Type: multipart/mixed;\r\n boundary="{_MIXED}"\r\n\r\n--{_MIXED}\r\n'
).encode()
_MIXED_TAIL = f"\r\n--{_MIXED}--\r\n".encode()
_CACHED_PART_BYTES = 48_000_000  # of files as base64: a bulk encodes each file once
_TYPE = re.compile(
    rf"[a-z0-9!#$&^_.+-]{{1,64}}/[a-z0-9!#$&^_.+-]{{1,100}}(?:; {TYPE_PARAMETER}){{0,7}}"
)
_PLAIN_FILENAME = re.compile(r"[A-Za-z0-9!#$&'()+,.=@^_`{}~-]+(?: [A-Za-z0-9.()_-]+)*")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address in the form of the envelope, and in the form of a header."""

    address: str  # ASCII domain; the local part is ASCII unless smtputf8
    header: str
    domain: str
    smtputf8: bool


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail ready for DATA (before dot-stuffing), and its envelope."""

    content: bytes
    sender: str
    recipient: str
    message_id: str
    smtputf8: bool


@dataclass(frozen=True, slots=True)
class _Skeleton:
    head: bytes
    between: bytes
    tail: bytes


def build_mail(
    *,
    sender: str,
    recipient: str,
    subject: str,
    text: str,
    html: str = "",
    reference: str,
    date_s: float,
    reply_to: str = "",
    headers: Mapping[str, str] = MappingProxyType({}),
    attachments: tuple[Attachment, ...] = (),
) -> Mail:
    """Returns the mail's bytes and envelope. Line ends in bodies become CRLF; a last one is added.

    Args:
        sender: `Name <address>` or an address; also the envelope's sender.
        recipient: an address, with or without a name.
        reference: ours; the Message-ID is `<reference@domain of the sender>`, on every attempt.
        date_s: epoch seconds of the Date header.
        headers: more header fields, such as List-Unsubscribe.
        attachments: files; the MIME part of a file is built once for many mails.

    Raises:
        ValueError: for a header value with CR, LF or NUL, a header that only this module writes, or
            an address that mail cannot carry. Nothing is repaired silently.
    """
    origin = mailbox(sender, local_too=True)
    target = mailbox(recipient)
    if not _REFERENCE.fullmatch(reference) or len(reference) > 200:
        raise ValueError("the reference cannot be part of a Message-ID")
    message_id = f"<{reference}@{origin.domain}>"
    lines = [
        f"From: {origin.header}\r\nTo: {target.header}\r\n"
        f"{_field('Subject', subject)}Date: {_date(int(date_s))}\r\nMessage-ID: {message_id}\r\n"
    ]
    if reply_to:
        lines.append(f"Reply-To: {mailbox(reply_to, local_too=True).header}\r\n")
    for name, value in headers.items():
        lines.append(_extra_field(name, value))
    top = "".join(lines).encode() + _TOP
    parts = _body_parts(text, html)
    if attachments:
        files = [_part_of(file) for file in attachments]
        parts = (_MIXED_HEAD, *parts, *files, _MIXED_TAIL)
    return Mail(
        content=b"".join((top, *parts)),
        sender=origin.address,
        recipient=target.address,
        message_id=message_id,
        smtputf8=origin.smtputf8 or target.smtputf8,
    )


def _body_parts(text: str, html: str) -> tuple[bytes, ...]:
    """Returns the text, the HTML, or both as alternatives, with their part headers."""
    if text and html:
        encoding, body = _encoded(text)
        html_encoding, html_body = _encoded(html)
        frame = _skeleton("both", encoding, html_encoding)
        return frame.head, body, frame.between, html_body, frame.tail
    encoding, body = _encoded(text or html)
    frame = _skeleton("html" if html else "text", encoding, "")
    return frame.head, body


_parts: ByteCache[Attachment, bytes] = ByteCache(_CACHED_PART_BYTES, len)


def _part_of(file: Attachment) -> bytes:
    """Returns a file's part. The part of a file that many mails have is made once."""
    make = partial(_file_part, file)
    return _parts.get(file, make) if file.shared else make()


def _file_part(file: Attachment) -> bytes:
    """Returns a file's part, from the line end before its boundary to the end of its base64."""
    if not _TYPE.fullmatch(file.content_type):
        raise ValueError("an attachment's type is not one that mail can name")
    if not file.filename or _BROKEN.search(file.filename):
        raise ValueError("an attachment's name is empty, or contains a line break or a NUL")
    flat = binascii.b2a_base64(file.content, newline=False)
    lines = [flat[at : at + _BASE64_LINE] for at in range(0, len(flat), _BASE64_LINE)]
    head = (
        f"\r\n--{_MIXED}\r\nContent-Type: {file.content_type}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n{_filename(file.filename)}\r\n\r\n"
    )
    return head.encode() + b"\r\n".join(lines)


def _filename(name: str) -> str:
    """Returns the parameter by RFC 2231, in pieces that fit a line; plain if ASCII suffices."""
    if _PLAIN_FILENAME.fullmatch(name) and len(name) < 60:
        return f' filename="{name}"'
    text = quote(name.encode("utf-8", "replace"), safe="!#$&+-.^_`{}~")
    pieces, at = [], 0
    while at < len(text):
        end = at + 54
        while "%" in text[end - 2 : end]:  # not between a percent sign and its digits
            end -= 1
        pieces.append(text[at:end])
        at = end
    marks = (f" filename*{number}*=" for number in range(len(pieces)))
    values = ("utf-8''" + piece if not number else piece for number, piece in enumerate(pieces))
    return ";\r\n".join(mark + value for mark, value in zip(marks, values, strict=True))


@functools.lru_cache(maxsize=64)
def _skeleton(shape: str, encoding: str, html_encoding: str) -> _Skeleton:
    if shape != "both":
        head = _part_head("plain" if shape == "text" else "html", encoding)
        return _Skeleton(head.encode(), b"", b"")
    head = (
        f'Content-Type: multipart/alternative;\r\n boundary="{_BOUNDARY}"\r\n\r\n'
        f"--{_BOUNDARY}\r\n{_part_head('plain', encoding)}"
    )
    between = f"\r\n--{_BOUNDARY}\r\n{_part_head('html', html_encoding)}"
    return _Skeleton(head.encode(), between.encode(), f"\r\n--{_BOUNDARY}--\r\n".encode())


def _part_head(subtype: str, encoding: str) -> str:
    charset = "us-ascii" if encoding == "7bit" else "utf-8"
    return (
        f'Content-Type: text/{subtype}; charset="{charset}"\r\n'
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )


def _encoded(text: str) -> tuple[str, bytes]:
    """Returns a body's transfer encoding and bytes: 7bit if possible, else the shorter one."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    data = text.encode("utf-8", "replace")  # "?" replaces a lone surrogate, which has no bytes
    short = len(data) <= LINE_LIMIT or max(map(len, data.split(b"\n"))) <= LINE_LIMIT
    if short and data.isascii() and b"\0" not in data and _DASHED not in data:
        return "7bit", data.replace(b"\n", b"\r\n")
    escapes = len(data) - len(data.translate(None, _HIGH_BYTES)) + data.count(b"=")
    if 6 * escapes < len(data):  # 3 bytes for each escape, against 4/3 for each byte
        return "quoted-printable", binascii.b2a_qp(data).replace(b"\n", b"\r\n")
    flat = binascii.b2a_base64(data.replace(b"\n", b"\r\n"), newline=False)
    lines = [flat[at : at + _BASE64_LINE] for at in range(0, len(flat), _BASE64_LINE)]
    lines.append(b"")
    return "base64", b"\r\n".join(lines)


@functools.lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second)


def _field(name: str, value: str) -> str:
    """Returns a header field of free text, folded; with encoded words if it is not plain ASCII."""
    if _BROKEN.search(value):
        raise ValueError(f"the header {name} contains a line break or a NUL")
    if _PLAIN_VALUE.fullmatch(value) and "=?" not in value:
        line = f"{name}: {value}"
        if len(line) <= _FOLD_AT:
            return line + "\r\n"
        folded = _folded(line)
        if folded is not None:
            return folded + "\r\n"
    return f"{name}: {encoded_words(value, used=len(name) + 2)}\r\n" if value else f"{name}:\r\n"


def _folded(line: str) -> str | None:
    """Returns a line folded at spaces, but not the first; None if a word is too long for a line."""
    name, _, rest = line.partition(": ")
    lines = []
    current = f"{name}:"
    for word in rest.split(" "):
        if len(current) + 1 + len(word) > _FOLD_AT and not current.endswith(":"):
            lines.append(current)
            current = ""
        current += " " + word
    lines.append(current)
    return "\r\n".join(lines) if max(map(len, lines)) <= LINE_LIMIT else None


def encoded_words(text: str, *, used: int = 0) -> str:
    """Returns folded RFC 2047 words that split no character, after `used` columns of a line."""
    data = text.encode("utf-8", "replace")
    words = []
    at, space = 0, _WORD_BYTES - 3 * ((used + 3) // 4)
    if space < _LEAST_WORD_BYTES:
        words.append("")
        space = _WORD_BYTES
    while at < len(data):
        end = at + space
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{binascii.b2a_base64(data[at:end], newline=False).decode()}?=")
        at, space = end, _WORD_BYTES
    return "\r\n ".join(words)


def _extra_field(name: str, value: str) -> str:
    if not _FIELD_NAME.fullmatch(name):
        raise ValueError("a header's name may contain printable ASCII only")
    if name.lower() in _OURS:
        raise ValueError(f"a caller cannot set the header {name}")
    if name.lower().startswith("list-") and not (
        _PLAIN_VALUE.fullmatch(value) and len(name) + 2 + len(value) <= LINE_LIMIT
    ):
        # Machines read these headers (RFC 2369, 8058): an encoded word would not be a URL.
        raise ValueError(f"the header {name} is not a list of URLs in printable ASCII")
    return _field(name, value)


@functools.lru_cache(maxsize=1024)
def mailbox(text: str, *, local_too: bool = False) -> Mailbox:
    """Reads `Name <address>`, `"Name" <address>` or an address.

    `directory.addresses` defines which addresses are valid, as it does for routes and imports.
    local_too: also accepts an address at a host that only this network knows, for senders.

    Raises:
        ValueError: the text is none of these.
    """
    if _BROKEN.search(text):
        raise ValueError("an address contains a line break or a NUL")
    text = text.strip()
    name, address = "", text
    if text.endswith(">"):
        name, opening, address = text[:-1].rpartition("<")
        if not opening:
            address = text
        name = name.strip()
        if name.startswith('"') and name.endswith('"') and len(name) > 1:
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
    if (
        local_too
        and len(address) <= 254
        and _LOCAL_ADDRESS.fullmatch(address)
        and address.index("@") <= 64
    ):
        domain = address.rpartition("@")[2]
        smtputf8 = False
    else:
        address, domain, smtputf8 = _carried(address)
    header = f"{_phrase(name)} <{address}>" if name else address
    return Mailbox(address=address, header=header, domain=domain, smtputf8=smtputf8)


def _carried(address: str) -> tuple[str, str, bool]:
    try:
        found = read_email(address)
    except AddressFault as error:
        raise ValueError("this is not an address that mail can carry") from error
    envelope = f"{found.local}@{found.ascii_domain}"
    return envelope, found.ascii_domain, not found.local.isascii()


def _phrase(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name) and len(name) <= _FOLD_AT - 10 and "=?" not in name:
        return name
    if _PLAIN_VALUE.fullmatch(name) and len(name) <= _FOLD_AT - 10 and "=?" not in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return encoded_words(name, used=10) + "\r\n"
