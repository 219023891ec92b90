"""The replies of an SMTP server, and the failures of a mail: refused, or without a reply."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})\b")
CLOSING = 421
"""The server closes the connection and reads nothing more (RFC 5321 3.8)."""


class Stage(StrEnum):
    """The step at which a mail failed."""

    CONNECT = "connect"
    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """A server's reply; the lines of a multi-line reply are joined."""

    code: int
    text: str

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463), such as 5.1.1; empty without one."""
        found = _ENHANCED.match(self.text)
        return found[0] if found else ""


class SmtpRefused(Exception):
    """The server refused the mail. `written`: it had received the content."""

    def __init__(self, stage: Stage, reply: SmtpReply, *, written: bool = False) -> None:
        self.stage = stage
        self.reply = reply
        self.written = written
        super().__init__(f"{stage}: {reply.code} {reply.enhanced}")


class SmtpLost(Exception):
    """There was no reply. `written`: the server may have received the mail's content.

    code is auth, tls, greeting, timeout, connection or invalid_response.
    """

    def __init__(self, code: str, *, written: bool = False) -> None:
        self.code = code
        self.written = written
        super().__init__(f"{code}, {'after' if written else 'before'} the content was written")


def refusal(replies: Sequence[SmtpReply]) -> SmtpRefused | None:
    """Returns the first refusal among the replies to MAIL, RCPT and DATA; None without one."""
    stages = (Stage.SENDER, Stage.RECIPIENT, Stage.CONTENT)
    for stage, reply in zip(stages, replies, strict=False):
        if reply.code >= 400 or (reply.code >= 300 and reply is not replies[-1]):
            return SmtpRefused(stage, reply)
    return None
