"""The provider contract: the base class that every vendor's `send.py` implements.

A provider receives batches of frozen `OutboundMessage`s and returns one `SendResult` for each. It
uses no database connection, no queue and no policy. A vendor's failure is a verdict, never an
exception. A test compares docs/reference/provider-contract.md with this file.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

import structlog

from notifications.domain.messages import OutboundMessage, SendResult, Verdict
from notifications.domain.receipts import Receipt
from notifications.infra import clock

log = structlog.get_logger("carillon.delivery")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do, as data. Routing, rate limits and the provider matrix read it."""

    #: The channel that it carries; `any` for the sandbox.
    channel: str
    #: How many messages one call carries.
    batch_size: int = 1
    #: How many calls may be open in a process.
    concurrency: int = 50
    #: The vendor's rate limit, such as `14/s`; empty for none. CARILLON_RATE_LIMITS overrides it.
    rate: str = ""
    #: The vendor's rate limit for each recipient.
    chat_rate: str = ""
    attachments: bool = False
    receipts: bool = False
    #: Whether `query_status` finds what became of a message.
    status_queries: bool = False
    #: Whether the receiver recognizes a repeated message by our reference.
    idempotent: bool = False
    #: Whether the channel is a row of our own database. It commits with the record and is never
    #: uncertain.
    row_channel: bool = False


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """Identifies a message whose fate is unknown.

    The vendor's message id identifies it. Without one, its address and the time of the call do.
    """

    recipient: str
    #: The earliest time at which the vendor may have received it, in epoch seconds.
    since_s: float
    #: The latest such time, in epoch seconds.
    until_s: float
    provider_message_id: str = ""
    sender: str = ""


class NotificationChannelProvider(ABC):
    """One vendor on one channel.

    The pipeline calls `send_batch`. `send` passes a single message; it is the documented method.
    """

    key: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    needs: ClassVar[tuple[str, ...]] = ()
    """The settings that it requires, by short name; `a|b` means that either suffices."""

    @abstractmethod
    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Passes one message to the vendor.

        Args:
            recipient: the address in the channel's own form.
            message: `title`, `body`, `data`, `priority`, `reference`, and what else the channel
                uses (see `payload_of`).

        Returns:
            `success`, and `message_id` when the vendor accepted it. Otherwise `error`, `retry`, and
            optionally `error_code`, `retry_after` in seconds, `recipient_dead` and `uncertain`.
            `provider_response` is stored encrypted.
        """

    @abstractmethod
    async def validate_recipient(self, recipient: str) -> bool:
        """Whether the address has the form that the channel needs. Calls no vendor."""

    async def send_batch(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        """Sends up to `capabilities.batch_size` messages; returns one result for each, in order."""
        results = []
        for message in messages:
            if not await self.validate_recipient(message.recipient):
                results.append(
                    SendResult(
                        Verdict.FAILED,
                        error="the address has not the form that the channel needs",
                        error_code="invalid_recipient",
                        recipient_dead=True,
                    )
                )
                continue
            results.append(result_of(await self.send(message.recipient, payload_of(message))))
        return results

    def calls_at_once(self) -> int:
        """How many calls may be open in a process; a provider may read it from its settings."""
        return self.capabilities.concurrency

    @classmethod
    def host_of(cls, recipient: str) -> str:
        """Returns the host that serves a recipient, for a provider that calls many hosts.

        Each host has its own rate limit and circuit breaker. Empty: the provider is one service.
        """
        del recipient
        return ""

    def batch_for(self, waiting: int) -> int:
        """How many of `waiting` messages one call should carry, at most `batch_size`."""
        del waiting
        return self.capabilities.batch_size

    async def examine(self) -> str:
        """Checks the account with the vendor; sends nothing.

        Returns:
            What is wrong, without secrets. Empty when the account works, or when the vendor has no
            request that checks it.
        """
        return ""

    async def query_status(self, query: StatusQuery) -> list[Receipt] | None:
        """Requests the messages that match a query; only for a provider with `status_queries`.

        Returns:
            A receipt for each match, with the vendor's id; None when the vendor did not respond.
        """
        del query
        return None

    async def open(self) -> None:  # noqa: B027 -- most providers have nothing to open
        """Prepares sessions and pools inside the running event loop."""

    async def close(self) -> None:  # noqa: B027 -- see open
        """Closes what `open` opened."""


def payload_of(message: OutboundMessage) -> dict[str, Any]:
    """Returns a message in the form that the documented `send` accepts."""
    content = message.content
    return {
        "title": content.title,
        "body": content.body,
        "html": content.html,
        "data": dict(content.data),
        "priority": message.priority,
        "reference": message.reference,
        "category": message.category,
        "collapse_key": message.collapse_key,
        "sender": message.sender,
        "reply_to": message.reply_to,
        "headers": dict(message.headers),
        "attachments": message.attachments,
        "expires_at_s": message.expires_at_s,
        "template_version_id": message.template_version_id,
        "attempt": message.attempt,
        "retracts": message.retracts,
    }


def link_of(message: Mapping[str, Any]) -> str:
    """Returns a message's link, for channels that show it as text; empty without one."""
    link = str((message.get("data") or {}).get("url", ""))
    return link if link.startswith(("https://", "http://")) else ""


_OUR_NAMES = {"subject": "title", "html_body": "html", "text_body": "body", "type": "category"}


def with_our_names(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a message with the names that `send` reads, whichever documented names it has.

    The other documented names are subject, html_body, text_body, type, icon and url. A message
    with a reference comes from the pipeline and is returned unchanged.
    """
    if "reference" in message:
        return message
    ours: dict[str, Any] = {"body": "", "reference": uuid4().hex}
    ours |= {name: value for name, value in message.items() if name not in _OUR_NAMES}
    ours |= {name: message[given] for given, name in _OUR_NAMES.items() if message.get(given)}
    extras = {name: message[name] for name in ("icon", "url") if message.get(name)}
    if extras:
        ours["data"] = {**extras, **(message.get("data") or {})}
    return ours


def result_of(outcome: Mapping[str, Any]) -> SendResult:
    """Returns the SendResult that a documented `send` outcome means."""
    if outcome.get("success"):
        verdict = Verdict.DELIVERED if outcome.get("delivered") else Verdict.SENT
    elif outcome.get("uncertain"):
        verdict = Verdict.UNCERTAIN
    else:
        verdict = Verdict.RETRY if outcome.get("retry") else Verdict.FAILED
    return SendResult(
        verdict,
        provider_message_id=str(outcome.get("message_id") or ""),
        error=str(outcome.get("error") or ""),
        error_code=str(outcome.get("error_code") or ""),
        retry_after_s=outcome.get("retry_after"),
        recipient_dead=bool(outcome.get("recipient_dead")),
        response=outcome.get("provider_response"),
    )


def outcome_of(result: SendResult) -> dict[str, Any]:
    """Returns the documented `send` outcome of a SendResult; `result_of` is the reverse."""
    outcome: dict[str, Any] = {"success": result.success}
    if result.success:
        outcome["message_id"] = result.provider_message_id
        outcome["delivered"] = result.verdict is Verdict.DELIVERED
    else:
        outcome["error"] = result.error
        outcome["error_code"] = result.error_code
        outcome["retry"] = result.verdict is Verdict.RETRY
        outcome["uncertain"] = result.verdict is Verdict.UNCERTAIN
        outcome["retry_after"] = result.retry_after_s
        outcome["recipient_dead"] = result.recipient_dead
    if result.response is not None:
        outcome["provider_response"] = result.response
    return outcome


async def call_safely(
    provider: NotificationChannelProvider, messages: Sequence[OutboundMessage], timeout_s: float
) -> list[SendResult]:
    """Calls `send_batch` with a timeout. An exception of a provider becomes a verdict.

    After a timeout or an unexpected exception it is unknown what the vendor received: the messages
    are uncertain. A result without a duration gets the duration of the call.
    """
    began = clock.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            results = list(await provider.send_batch(messages))
    except TimeoutError:
        return _uncertain(messages, began, "deadline", f"no response within {timeout_s:g} s")
    except Exception as error:
        log.error("provider.raised", provider=provider.key, **where(error))
        text = f"the provider raised {type(error).__name__}"
        return _uncertain(messages, began, "provider_exception", text)
    if len(results) != len(messages):
        text = f"{len(messages)} messages, but {len(results)} results"
        return _uncertain(messages, began, "provider_result_mismatch", text)
    took_s = clock.monotonic() - began
    return [result.lasting(took_s) for result in results]


def where(error: Exception) -> dict[str, str]:
    """Returns an exception's type and place, for the log. Its text may quote an address."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}" if frame else ""
    return {"error": type(error).__name__, "at": place}


def _uncertain(
    messages: Sequence[OutboundMessage], began: float, code: str, error: str
) -> list[SendResult]:
    took_s = clock.monotonic() - began
    fault = SendResult(Verdict.UNCERTAIN, error=error, error_code=code, duration_s=took_s)
    return [fault] * len(messages)
