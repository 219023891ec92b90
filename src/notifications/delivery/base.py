"""What a provider is: the contract that every vendor's file fulfils.

A provider is given batches of frozen `OutboundMessage`s and answers one `SendResult` each. It holds
no database connection, knows no queue and no policy, and never raises for a vendor's failure: the
failure is a verdict. docs/reference/provider-contract.md is held to this file by a test.
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
    """What a provider can do, as data: routing, limits and the provider matrix read it.

    batch_size is how many messages one call carries; concurrency how many calls may be open in a
    process; row_channel that the channel is a row of ours, committed with the record and therefore
    never uncertain; askable that `look_up` finds what became of a message. rate is the vendor's
    limit (`14/s`; CARILLON_RATE_LIMITS wins), chat_rate that for each recipient.
    """

    channel: str
    batch_size: int = 1
    concurrency: int = 50
    rate: str = ""
    chat_rate: str = ""
    attachments: bool = False
    receipts: bool = False
    askable: bool = False
    idempotent: bool = False
    row_channel: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A message of which it is not known what became: by the vendor's id, or else by its address
    and when it may have been handed over (epoch seconds)."""

    recipient: str
    since_s: float
    until_s: float
    provider_message_id: str = ""
    sender: str = ""


class NotificationChannelProvider(ABC):
    """One vendor on one channel.

    The pipeline calls `send_batch`; `send` hands over a single message and is the documented door.
    """

    key: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    needs: ClassVar[tuple[str, ...]] = ()
    """The settings, by short name, without which it cannot work; `a|b` for either."""

    @abstractmethod
    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hands one message to the vendor.

        Args:
            recipient: the address in the channel's own form.
            message: `title`, `body`, `data`, `priority`, `reference`, and what else the channel
                uses (see `payload_of`).

        Returns:
            `success`, and `message_id` when it was taken, else `error`, `retry`, and optionally
            `error_code`, `retry_after`, `recipient_dead`, `uncertain`; `provider_response` is kept
            encrypted.
        """

    @abstractmethod
    async def validate_recipient(self, recipient: str) -> bool:
        """Whether the address has the form that the channel needs. Asks nobody."""

    async def send_batch(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        """Hands over up to `capabilities.batch_size` messages; one result each, in order."""
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
        """How many calls may be open in a process; a provider may draw it from the settings."""
        return self.capabilities.concurrency

    @classmethod
    def host_of(cls, recipient: str) -> str:
        """The service that a recipient is reached through, where the provider reaches many: each
        has a limit and a breaker of its own. Empty: the provider is one service."""
        del recipient
        return ""

    def batch_for(self, waiting: int) -> int:
        """How many of `waiting` messages a call should carry, at most `batch_size`."""
        del waiting
        return self.capabilities.batch_size

    async def examine(self) -> str:
        """Asks the vendor whether the account is good, sending nothing.

        Returns:
            What is wrong, without secrets; empty when nothing is, or there is nobody to ask.
        """
        return ""

    async def look_up(self, question: Question) -> list[Receipt] | None:
        """Asks the vendor for the messages that a question may mean; only where `askable`.

        Returns:
            A receipt each, with the vendor's id; None when there was no answer.
        """
        del question
        return None

    async def open(self) -> None:  # noqa: B027 -- most providers have nothing to open
        """Prepares sessions and pools, inside the running event loop."""

    async def close(self) -> None:  # noqa: B027 -- see open
        """Ends what `open` began."""


def payload_of(message: OutboundMessage) -> dict[str, Any]:
    """A message as the documented `send` takes it."""
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
    }


def link_of(message: Mapping[str, Any]) -> str:
    """The link that goes along, for channels that show it as text; empty where there is none."""
    link = str((message.get("data") or {}).get("url", ""))
    return link if link.startswith(("https://", "http://")) else ""


_OUR_NAMES = {"subject": "title", "html_body": "html", "text_body": "body", "type": "category"}


def by_our_names(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message by the names that `send` reads, where it has the other documented ones.

    These are subject, html_body, text_body, type, icon and url. What has a reference was made by
    the pipeline, and passes as it is.
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


def result_of(answer: Mapping[str, Any]) -> SendResult:
    """A documented `send` answer as a SendResult."""
    if answer.get("success"):
        verdict = Verdict.DELIVERED if answer.get("delivered") else Verdict.SENT
    elif answer.get("uncertain"):
        verdict = Verdict.UNCERTAIN
    else:
        verdict = Verdict.RETRY if answer.get("retry") else Verdict.FAILED
    return SendResult(
        verdict,
        provider_message_id=str(answer.get("message_id") or ""),
        error=str(answer.get("error") or ""),
        error_code=str(answer.get("error_code") or ""),
        retry_after_s=answer.get("retry_after"),
        recipient_dead=bool(answer.get("recipient_dead")),
        response=answer.get("provider_response"),
    )


def answer_of(result: SendResult) -> dict[str, Any]:
    """A SendResult as the documented `send` answers it; `result_of` reads it back."""
    answer: dict[str, Any] = {"success": result.success}
    if result.success:
        answer["message_id"] = result.provider_message_id
        answer["delivered"] = result.verdict is Verdict.DELIVERED
    else:
        answer["error"] = result.error
        answer["error_code"] = result.error_code
        answer["retry"] = result.verdict is Verdict.RETRY
        answer["uncertain"] = result.verdict is Verdict.UNCERTAIN
        answer["retry_after"] = result.retry_after_s
        answer["recipient_dead"] = result.recipient_dead
    if result.response is not None:
        answer["provider_response"] = result.response
    return answer


async def call_safely(
    provider: NotificationChannelProvider, messages: Sequence[OutboundMessage], timeout_s: float
) -> list[SendResult]:
    """`send_batch` under a deadline. Whatever escapes a provider is a verdict, never an exception.

    A deadline that passes, or an unforeseen exception, says nothing about what the vendor saw: the
    messages are uncertain. Results that name no duration get the call's.
    """
    began = clock.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            results = list(await provider.send_batch(messages))
    except TimeoutError:
        return _in_doubt(messages, began, "deadline", f"no answer within {timeout_s:g} s")
    except Exception as error:
        log.error("provider.raised", provider=provider.key, **where(error))
        text = f"the provider raised {type(error).__name__}"
        return _in_doubt(messages, began, "provider_raised", text)
    if len(results) != len(messages):
        text = f"{len(messages)} messages, but {len(results)} outcomes"
        return _in_doubt(messages, began, "provider_miscounted", text)
    took_s = clock.monotonic() - began
    return [result.lasting(took_s) for result in results]


def where(error: Exception) -> dict[str, str]:
    """An exception's type and place, for the log. Its text may quote an address: never that."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}" if frame else ""
    return {"error": type(error).__name__, "at": place}


def _in_doubt(
    messages: Sequence[OutboundMessage], began: float, code: str, error: str
) -> list[SendResult]:
    took_s = clock.monotonic() - began
    fault = SendResult(Verdict.UNCERTAIN, error=error, error_code=code, duration_s=took_s)
    return [fault] * len(messages)
