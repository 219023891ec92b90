"""The loopback servers by one name: SMTPSink and HTTPSink, and what their scripts are made of.

Both are plain asyncio protocols, so that the sink costs less than what is measured against it.
"""

from __future__ import annotations

from notifications.testing.http_sink import HTTPScript, HTTPSink, Reply, TakenRequest
from notifications.testing.loopback import HOST, Act, Sink
from notifications.testing.smtp_sink import SMTPScript, SMTPSink, TakenMail, by_verb

__all__ = [
    "HOST",
    "Act",
    "HTTPScript",
    "HTTPSink",
    "Reply",
    "SMTPScript",
    "SMTPSink",
    "Sink",
    "TakenMail",
    "TakenRequest",
    "by_verb",
]
