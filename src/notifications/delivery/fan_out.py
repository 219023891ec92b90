"""Sends one message to several devices: one call for each device, one result for the message.

The message is sent if any device accepted it. Only devices that may still accept it are retried.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from notifications.domain.messages import (
    NOT_CALLED,
    OutboundMessage,
    Part,
    SendResult,
    Target,
    Verdict,
)

OnResults = Callable[[Sequence[OutboundMessage], Sequence[SendResult]], None]
Send = Callable[[str, Sequence[OutboundMessage], OnResults], Awaitable[None]]

_PARTLY = SendResult(Verdict.RETRY, error_code="partly_not_started")


@dataclass(slots=True)
class _Open:
    message: OutboundMessage
    parts: dict[Target, SendResult] = field(default_factory=dict)


async def fan_out(
    messages: Sequence[OutboundMessage], *, send: Send, on_results: OnResults
) -> None:
    """Passes each target of each message to the target's provider.

    Args:
        send: sends messages by one provider and reports every result once.
        on_results: called with each message and its merged result, as soon as its last target has
            a result.
    """
    waiting = {message.message_id: _Open(message) for message in messages}
    parts: dict[str, list[OutboundMessage]] = defaultdict(list)
    for message in messages:
        for target in message.targets:
            part = replace(message, recipient=target.recipient, targets=(target,))
            parts[target.provider].append(part)

    def report(sent: Sequence[OutboundMessage], results: Sequence[SendResult]) -> None:
        for part, result in zip(sent, results, strict=True):
            found = waiting[part.message_id]
            found.parts[part.targets[0]] = result
            if len(found.parts) == len(found.message.targets):
                on_results([found.message], [merged(found.message, found.parts.items())])

    calls = (send(provider, sent, report) for provider, sent in parts.items())
    for fault in await asyncio.gather(*calls, return_exceptions=True):
        if fault is not None:
            raise fault


def has_one_target(message: OutboundMessage, provider: str) -> bool:
    """Whether the message has one target, of this provider. It is then sent in an ordinary call."""
    if len(message.targets) != 1:
        return False
    (target,) = message.targets
    return target.provider == provider and target.recipient == message.recipient


def single_result(message: OutboundMessage, result: SendResult) -> SendResult:
    """Returns the result of a message that has one target."""
    if not message.targets:
        return result
    target = message.targets[0]
    if not result.success:
        return merged(message, [(target, result)])
    return SendResult(
        Verdict.SENT,
        provider_message_id=result.provider_message_id,
        parts=(Part(target, result),),
        duration_s=result.duration_s,
    )


def merged(message: OutboundMessage, parts: Iterable[tuple[Target, SendResult]]) -> SendResult:
    """Returns one result for all the targets of a message.

    UNCERTAIN if a target is uncertain and none is known to have accepted the message. Otherwise
    RETRY while a target may still accept it, and SENT if one accepted it.
    """
    found = tuple(Part(target, result) for target, result in parts)
    accepted = [part.result for part in found if part.result.success]
    again = [part.result for part in found if part.result.verdict is Verdict.RETRY]
    uncertain = [part.result for part in found if part.result.verdict is Verdict.UNCERTAIN]
    duration_s = max(part.result.duration_s for part in found)
    name = accepted[0].provider_message_id if accepted else ""
    if uncertain and not accepted and not message.reached:
        return replace(uncertain[0], parts=found, duration_s=duration_s)
    if again:
        return replace(
            again[0],
            error_code=_code_of(again, len(found)),
            provider_message_id=name,
            retry_after_s=max((r.retry_after_s for r in again if r.retry_after_s), default=None),
            parts=found,
            duration_s=duration_s,
        )
    if accepted or message.reached:
        return SendResult(
            Verdict.SENT, provider_message_id=name, parts=found, duration_s=duration_s
        )
    return replace(found[0].result, recipient_dead=False, parts=found, duration_s=duration_s)


def _code_of(again: Sequence[SendResult], count: int) -> str:
    """Returns the code of a retry; one that uses no attempt only if no call was made."""
    called = [result.error_code for result in again if result.error_code not in NOT_CALLED]
    if called:
        return called[0]
    return again[0].error_code if len(again) == count else _PARTLY.error_code
