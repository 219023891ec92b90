"""Several mails in one write, each content counted in bytes: CHUNKING (RFC 3030).

BDAT needs no 354 before its content, so one PIPELINING group (RFC 2920) may contain whole mails:
one write and one read for all of them. RSET precedes each mail but the first, so that a refused
mail never affects the next one, whatever the server retains of its transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from notifications.delivery.mail.mime import Mail
from notifications.delivery.vendors.smtp.replies import (
    CLOSING,
    SmtpLost,
    SmtpRefused,
    SmtpReply,
    Stage,
    refusal,
)

_REPLIES = 4  # RSET, MAIL, RCPT, BDAT
_UNKNOWN = frozenset({500, 501, 502, 504})  # the server has no BDAT: it read content as commands

Result = SmtpReply | SmtpRefused | SmtpLost


def group(mails: Sequence[Mail], *, reset_first: bool) -> bytes:
    """Returns the bytes to write for these mails."""
    parts: list[bytes] = []
    for mail in mails:
        if parts or reset_first:
            parts.append(b"RSET\r\n")
        option = " SMTPUTF8" if mail.smtputf8 else ""
        parts.append(
            f"MAIL FROM:<{mail.sender}>{option}\r\n"
            f"RCPT TO:<{mail.recipient}>\r\n"
            f"BDAT {len(mail.content)} LAST\r\n".encode()
        )
        parts.append(mail.content)
    return b"".join(parts)


def replies_to(count: int, *, reset_first: bool) -> int:
    """Returns how many replies a group of `count` mails gets."""
    return _REPLIES * count - (not reset_first)


def results(
    replies: Sequence[SmtpReply], count: int, *, reset_first: bool, lost: str
) -> tuple[list[Result], bool]:
    """Returns the result of each mail of a group, and whether the server supports BDAT.

    Args:
        replies: the received replies, in order; fewer than `replies_to` if the connection was lost.
        lost: the code of SmtpLost for mails without a reply.
    """
    if not reset_first:
        replies = [SmtpReply(250, ""), *replies]
    found: list[Result] = []
    closed = False
    for place in range(count):
        own = replies[_REPLIES * place : _REPLIES * (place + 1)]
        result = _result(own, lost) if not closed else SmtpLost("connection")
        found.append(result)
        closed = closed or any(reply.code == CLOSING for reply in own)
        if isinstance(result, SmtpRefused) and result.written and result.reply.code in _UNKNOWN:
            uncertain = SmtpLost("invalid_response", written=True)
            return found + [uncertain] * (count - len(found)), False
    return found, True


def _result(own: Sequence[SmtpReply], lost: str) -> Result:
    """Returns a mail's result from the received replies to RSET, MAIL, RCPT and BDAT."""
    if own and own[0].code == CLOSING:
        return SmtpRefused(Stage.SENDER, own[0])
    refused = refusal(own[1:3])
    if refused is not None:
        return refused
    if len(own) < _REPLIES:
        return SmtpLost(lost, written=True)
    last = own[-1]
    return last if 200 <= last.code < 300 else SmtpRefused(Stage.CONTENT, last, written=True)
