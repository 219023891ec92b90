"""Frozen values that cross from stage to stage. ORM rows never reach a provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says on its channel, rendered.

    title is the subject of a mail; html is empty unless the channel is email.
    """

    title: str
    body: str
    html: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


EXTRAS_KEY = "$along"
"""The name in a stored context of what goes along with the text; no template can read it."""
MAX_PUSH_EXTRAS_BYTES = 3_000
_TWICE = ("url", "image", "icon", "sound")


def push_weight(along: Mapping[str, Any]) -> int:
    """Bytes that what goes along takes of a push: as data, and some once more in their places."""
    again = sum(len(str(along[name]).encode()) for name in _TWICE if name in along)
    return (
        len(json.dumps(along, default=str, ensure_ascii=False).encode("utf-8", "replace")) + again
    )


@dataclass(frozen=True, slots=True)
class Target:
    """One of several places that a message goes to: a device, and who carries it there."""

    device_id: int
    provider: str
    recipient: str


TYPE_PARAMETER = r"[a-z]{1,20}=(?:[A-Za-z0-9!#$&^_.+-]{1,60}|\"[A-Za-z0-9 !#$&^_.+-]{1,60}\")"
"""A parameter of an attachment's type, as a regular expression: charset=utf-8."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along with a mail. content_type is in lower case,
    but for the values of its parameters: `text/calendar; method=REQUEST`."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One message as a provider sees it.

    targets: the devices that it goes to, where there may be several; each is a call of its own.
    reached: one of the person's devices took it on an earlier try.
    """

    message_id: int
    reference: str  # ours, stable across retries, travels inside the provider's message
    channel: str
    recipient: str  # address, number, token, URL or user id
    content: Content
    priority: int = 3
    attempt: int = 1
    category: str = ""
    template_version_id: int | None = None
    expires_at_s: float | None = None  # epoch seconds
    collapse_key: str = ""
    sender: str = ""
    reply_to: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_test: bool = False
    targets: tuple[Target, ...] = ()
    reached: bool = False
    attachments: tuple[Attachment, ...] = ()


class Verdict(StrEnum):
    """What became of one call to a provider."""

    SENT = "sent"  # the provider took it
    DELIVERED = "delivered"  # the channel is the destination itself
    RETRY = "retry"  # surely not taken; worth another try
    FAILED = "failed"  # surely not taken; never will be
    UNCERTAIN = "uncertain"  # written, but no answer: nobody knows


NOT_CALLED = frozenset({"not_started", "provider_start_failed"})
"""Codes of messages that never left: they go back without an attempt burnt."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The outcome of handing one message to a provider.

    error is a short text without addresses; recipient_dead says that the contact point is of no
    use any more; retry_after_s is the provider's own wish. response is kept encrypted. parts are
    the outcomes of a message's targets, of which this is the sum. simulated: no service was
    called; receipts are what the simulator will report afterwards.
    """

    verdict: Verdict
    provider_message_id: str = ""
    error: str = ""
    error_code: str = ""
    retry_after_s: float | None = None
    recipient_dead: bool = False
    response: Any = None
    duration_s: float = 0.0
    parts: tuple[Part, ...] = ()
    simulated: bool = False
    receipts: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        return self.verdict in (Verdict.SENT, Verdict.DELIVERED)

    def lasting(self, duration_s: float) -> SendResult:
        """The same with its duration, unless it names one. (`replace` costs four times as much.)"""
        if self.duration_s:
            return self
        return SendResult(
            self.verdict,
            self.provider_message_id,
            self.error,
            self.error_code,
            self.retry_after_s,
            self.recipient_dead,
            self.response,
            duration_s,
            self.parts,
            self.simulated,
            self.receipts,
        )


_ABOUT_THE_RECIPIENT = frozenset({"smtp_450", "smtp_451", "smtp_452"})  # full, greylisted


def blames_service(result: SendResult) -> bool:
    """Whether an outcome speaks against the service itself: no answer, 5xx, refused credentials.

    A definite no to one message is an answer, and so is a wish to wait.
    """
    if result.verdict not in (Verdict.RETRY, Verdict.UNCERTAIN) or result.retry_after_s:
        return False
    code = result.error_code
    return code not in _ABOUT_THE_RECIPIENT and not code.startswith("simulated")


@dataclass(frozen=True, slots=True)
class Part:
    """The outcome at one of a message's targets."""

    target: Target
    result: SendResult


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What `NotificationDeliveryEngine.deliver_message` answers.

    message_id: the provider's. error: a short text. provider_response: the answer to the last call,
    where a provider was called. reason: the code of what stopped or holds the message, as `explain`
    names it.
    """

    success: bool
    message_id: str | None = None
    error: str | None = None
    retry: bool = False
    provider_response: Any = None
    reason: str | None = field(default=None, kw_only=True)
