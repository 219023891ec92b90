"""The loopback servers by one name: SMTPSink and HTTPSink, and what their scripts are made of.

Both are plain asyncio protocols, so that the sink costs less than what is measured against it.
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
