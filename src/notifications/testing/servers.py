"""Exports the loopback servers SMTPSink and HTTPSink, and the types of their scripts.

Both are plain asyncio protocols, so that a sink uses less CPU than the code that is measured.
"""

from __future__ import annotations

from notifications.testing.http_sink import HTTPScript, HTTPSink, ReceivedRequest, Reply
from notifications.testing.loopback import HOST, Act, Sink
from notifications.testing.smtp_sink import ReceivedMail, SMTPScript, SMTPSink, by_verb

__all__ = [
    "HOST",
    "Act",
    "HTTPScript",
    "HTTPSink",
    "ReceivedMail",
    "ReceivedRequest",
    "Reply",
    "SMTPScript",
    "SMTPSink",
    "Sink",
    "by_verb",
]
