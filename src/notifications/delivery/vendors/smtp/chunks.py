"""Several mails in one write, each content counted in bytes: CHUNKING (RFC 3030).

BDAT needs no 354 before its content, so whole mails may stand in one PIPELINING group (RFC 2920):
one write and one read for all of them. RSET stands before each but the first, so that what became
of one mail never reaches into the next, whatever the server keeps of a refused transaction.
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
_UNKNOWN = frozenset({500, 501, 502, 504})  # BDAT was not understood: its content became commands

Result = SmtpReply | SmtpRefused | SmtpLost


def group(mails: Sequence[Mail], *, reset_first: bool) -> bytes:
    """What to write for these mails."""
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
    """How many replies a group of so many mails gets."""
    return _REPLIES * count - (not reset_first)


def results(
    replies: Sequence[SmtpReply], count: int, *, reset_first: bool, lost: str
) -> tuple[list[Result], bool]:
    """What became of each mail of a group, and whether the server understands BDAT.

    Args:
        replies: those that came, in order; fewer than `replies_to` when the connection was lost.
        lost: the code of SmtpLost for mails without an answer.
    """
    if not reset_first:
        replies = [SmtpReply(250, ""), *replies]
    told: list[Result] = []
    closed = False
    for place in range(count):
        own = replies[_REPLIES * place : _REPLIES * (place + 1)]
        result = _result(own, lost) if not closed else SmtpLost("connection")
        told.append(result)
        closed = closed or any(reply.code == CLOSING for reply in own)
        if isinstance(result, SmtpRefused) and result.written and result.reply.code in _UNKNOWN:
            doubt = SmtpLost("invalid_response", written=True)
            return told + [doubt] * (count - len(told)), False
    return told, True


def _result(own: Sequence[SmtpReply], lost: str) -> Result:
    """From the replies to RSET, MAIL, RCPT and BDAT, as far as they came."""
    if own and own[0].code == CLOSING:
        return SmtpRefused(Stage.SENDER, own[0])
    refused = refusal(own[1:3])
    if refused is not None:
        return refused
    if len(own) < _REPLIES:
        return SmtpLost(lost, written=True)
    last = own[-1]
    return last if 200 <= last.code < 300 else SmtpRefused(Stage.CONTENT, last, written=True)
