"""One message, several devices: a call for each, and one outcome of them all.

The message is sent if any device took it. Devices that may still take it are tried again, alone;
those that did, or never will, are not.
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
Hand = Callable[[str, Sequence[OutboundMessage], OnResults], Awaitable[None]]

_PARTLY = SendResult(Verdict.RETRY, error_code="partly_not_started")


@dataclass(slots=True)
class _Open:
    message: OutboundMessage
    parts: dict[Target, SendResult] = field(default_factory=dict)


async def fan_out(
    messages: Sequence[OutboundMessage], *, hand: Hand, on_results: OnResults
) -> None:
    """Hands each target of each message to the provider that carries it there.

    Args:
        hand: hands over some messages by one provider and tells every outcome once.
        on_results: told each message with its merged outcome, as soon as its last part is known.
    """
    waiting = {message.message_id: _Open(message) for message in messages}
    legs: dict[str, list[OutboundMessage]] = defaultdict(list)
    for message in messages:
        for target in message.targets:
            leg = replace(message, recipient=target.recipient, targets=(target,))
            legs[target.provider].append(leg)

    def land(sent: Sequence[OutboundMessage], results: Sequence[SendResult]) -> None:
        for leg, result in zip(sent, results, strict=True):
            found = waiting[leg.message_id]
            found.parts[leg.targets[0]] = result
            if len(found.parts) == len(found.message.targets):
                on_results([found.message], [merged(found.message, found.parts.items())])

    flights = (hand(provider, part, land) for provider, part in legs.items())
    for fault in await asyncio.gather(*flights, return_exceptions=True):
        if fault is not None:
            raise fault


def goes_to_one(message: OutboundMessage, provider: str) -> bool:
    """Whether the message has a single target, of this provider: a call like any other."""
    if len(message.targets) != 1:
        return False
    (target,) = message.targets
    return target.provider == provider and target.recipient == message.recipient


def of_one(message: OutboundMessage, result: SendResult) -> SendResult:
    """The outcome of a message with a single target."""
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
    """One outcome of all the parts: what is still open decides, then what was taken.

    RETRY while a device may still take it; UNCERTAIN only where none is known to have taken it.
    """
    found = tuple(Part(target, result) for target, result in parts)
    taken = [part.result for part in found if part.result.success]
    again = [part.result for part in found if part.result.verdict is Verdict.RETRY]
    doubtful = [part.result for part in found if part.result.verdict is Verdict.UNCERTAIN]
    duration_s = max(part.result.duration_s for part in found)
    name = taken[0].provider_message_id if taken else ""
    if doubtful and not taken and not message.reached:
        return replace(doubtful[0], parts=found, duration_s=duration_s)
    if again:
        return replace(
            again[0],
            error_code=_code_of(again, len(found)),
            provider_message_id=name,
            retry_after_s=max((r.retry_after_s for r in again if r.retry_after_s), default=None),
            parts=found,
            duration_s=duration_s,
        )
    if taken or message.reached:
        return SendResult(
            Verdict.SENT, provider_message_id=name, parts=found, duration_s=duration_s
        )
    return replace(found[0].result, recipient_dead=False, parts=found, duration_s=duration_s)


def _code_of(again: Sequence[SendResult], count: int) -> str:
    """The code of what is tried again; one that burns no attempt only if nothing was called."""
    called = [result.error_code for result in again if result.error_code not in NOT_CALLED]
    if called:
        return called[0]
    return again[0].error_code if len(again) == count else _PARTLY.error_code
