"""Frozen values that pass from stage to stage. ORM rows never reach a provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Content:
    """The rendered text of a message on its channel.

    title is the subject of a mail; html is empty unless the channel is email.
    """

    title: str
    body: str
    html: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


EXTRAS_KEY = "$along"
"""The name of the extras in a stored context. No template can read it."""
MAX_PUSH_EXTRAS_BYTES = 3_000
_TWICE = ("url", "image", "icon", "sound")


def push_weight(along: Mapping[str, Any]) -> int:
    """Returns the bytes of extras in a push: as data, and some a second time in own fields."""
    again = sum(len(str(along[name]).encode()) for name in _TWICE if name in along)
    return (
        len(json.dumps(along, default=str, ensure_ascii=False).encode("utf-8", "replace")) + again
    )


@dataclass(frozen=True, slots=True)
class Target:
    """One of several targets of a message: a device and its provider."""

    device_id: int
    provider: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Retraction:
    """Names the push that a message takes back: the tag under which it is shown, and its
    reference, since a newer push may be shown under the same tag."""

    tag: str
    reference: str


def reference_to(uuid: UUID | str, channel: str) -> str:
    """Returns our id inside a provider's message: `<32 hexadecimal digits>.<channel>`.

    It is the same on every attempt, and names the message without a lookup.
    """
    return f"{uuid if isinstance(uuid, str) else uuid.hex}.{channel}"


def tag_of(reference: str, collapse_key: str | None) -> str:
    """Returns the tag of a push: its collapse key, else what its notification is called by us.

    A browser shows one push for each tag.
    """
    return collapse_key or reference.partition(".")[0]


TYPE_PARAMETER = r"[a-z]{1,20}=(?:[A-Za-z0-9!#$&^_.+-]{1,60}|\"[A-Za-z0-9 !#$&^_.+-]{1,60}\")"
"""A parameter of an attachment's type, as a regular expression: charset=utf-8."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a mail. content_type is in lower case,
    except for the values of its parameters: `text/calendar; method=REQUEST`."""

    filename: str
    content_type: str
    content: bytes
    #: Several messages have it. A file of one person is not held longer than its message.
    shared: bool = False


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One message as a provider sees it.

    targets: the devices that it goes to, where there may be several; each is a call of its own.
    reached: a device of the person accepted it on an earlier attempt.
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
    #: It shows nothing: it takes back an earlier push.
    retracts: Retraction | None = None


class Verdict(StrEnum):
    """The verdict on one call to a provider."""

    SENT = "sent"  # the provider accepted it
    DELIVERED = "delivered"  # the channel is the destination itself
    RETRY = "retry"  # surely not accepted; worth another attempt
    FAILED = "failed"  # surely not accepted; never will be
    UNCERTAIN = "uncertain"  # written, but no response: it may have arrived


NOT_CALLED = frozenset({"not_started", "provider_start_failed"})
"""Codes of messages that were not sent: they are queued again, and no attempt is counted."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of one provider call for one message."""

    verdict: Verdict
    provider_message_id: str = ""
    #: A short text without addresses.
    error: str = ""
    error_code: str = ""
    #: How long the provider asks us to wait.
    retry_after_s: float | None = None
    #: The contact point can never be reached again.
    recipient_dead: bool = False
    #: The provider's response; it is stored encrypted.
    response: Any = None
    duration_s: float = 0.0
    #: The results of the targets of a message, of which this is the sum.
    parts: tuple[Part, ...] = ()
    #: No service was called.
    simulated: bool = False
    #: What the simulator will report afterwards.
    receipts: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        return self.verdict in (Verdict.SENT, Verdict.DELIVERED)

    def lasting(self, duration_s: float) -> SendResult:
        """Returns the result with a duration, unless it has one. `replace` is four times slower."""
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
    """Returns whether a result blames the service: no response, 5xx, refused credentials.

    A definite refusal of one message is a response, and so is a request to wait.
    """
    if result.verdict not in (Verdict.RETRY, Verdict.UNCERTAIN) or result.retry_after_s:
        return False
    code = result.error_code
    return code not in _ABOUT_THE_RECIPIENT and not code.startswith("simulated")


@dataclass(frozen=True, slots=True)
class Part:
    """The result at one target of a message."""

    target: Target
    result: SendResult


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The result of `NotificationDeliveryEngine.deliver_message`.

    message_id: the provider's. error: a short text. provider_response: the response to the last
    call, if there was one. reason: the code of what stops or delays the message, as in `explain`.
    """

    success: bool
    message_id: str | None = None
    error: str | None = None
    retry: bool = False
    provider_response: Any = None
    reason: str | None = field(default=None, kw_only=True)
