"""One message's outcome as the record takes it, and the trail that explains it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from notifications.domain.lifecycle import MessageStatus
from notifications.domain.limits import Limit
from notifications.domain.messages import OutboundMessage, SendResult
from notifications.infra.clock import epoch_ms
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.queue.leases import Lease


@dataclass(frozen=True, slots=True)
class Folding:
    """Into which digest a message goes. summary: what it would have said, sealed."""

    period: str
    closes_at: datetime
    frequency: str
    summary: bytes


@dataclass(slots=True)
class Outcome:
    """What is to be recorded of one message.

    again_at: it stays pending and goes into a new batch, due then. attempt: a provider was called.
    dead_code: it becomes a dead letter under this code. content: sealed, what a row channel shows.
    limits: it counts under these, where recording it is handing it over. folding: it goes into a
    digest.
    """

    lease: Lease
    message: PendingMessage
    status: MessageStatus
    trail: str
    at: datetime
    attempts: int
    provider: str | None = None
    result: SendResult | None = None
    outbound: OutboundMessage | None = None
    again_at: datetime | None = None
    alone: bool = False
    attempt: bool = False
    dead_code: str = ""
    content: bytes | None = None
    limits: tuple[Limit, ...] = ()
    folding: Folding | None = None
    #: Its key stands in a committed journal, and a permit is held for it until it is recorded.
    in_flight: bool = False


def trail_of(at: datetime, event: str, reason: str = "") -> str:
    """One entry of a message's trail: `[ms, "event", "reason"]`."""
    return json.dumps([epoch_ms(at), event, reason], ensure_ascii=False)


def trails(*entries: tuple[datetime, str, str]) -> str:
    """Several entries, as the trail column appends them."""
    return ",".join(trail_of(*entry) for entry in entries)


def bare(outcome: Outcome) -> Outcome:
    """The outcome without what a provider said and what the message asked for besides, where the
    database will not have the words, or our own code cannot read them."""
    result = outcome.result
    if result is not None:
        code = "".join(c for c in result.error_code if c.isprintable())[:50]
        result = SendResult(result.verdict, error="not recordable", error_code=code)
    message = outcome.message._replace(options=None)
    return replace(outcome, message=message, result=result, dead_code=outcome.dead_code[:50])


def error_text(result: SendResult | None) -> str | None:
    """The short error of a result; None when there was none."""
    return (result.error or result.error_code or None) if result else None


def last_result(result: SendResult | None) -> dict[str, Any] | None:
    """A result as a dead letter keeps it (sealed)."""
    if result is None:
        return None
    return {
        "verdict": result.verdict,
        "error": result.error,
        "error_code": result.error_code,
        "provider_message_id": result.provider_message_id,
        "response": result.response,
    }
