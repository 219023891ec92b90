"""The outcome of one message for the record, and the trail that explains it."""

from __future__ import annotations

import functools
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
from vault.cells import Key


@dataclass(frozen=True, slots=True)
class Folding:
    """The digest that a message goes into. summary: its rendered text, sealed."""

    period: str
    closes_at: datetime
    frequency: str
    summary: bytes


@dataclass(slots=True)
class Outcome:
    """What is to be recorded of one message."""

    lease: Lease
    message: PendingMessage
    status: MessageStatus
    trail: str
    at: datetime
    attempts: int
    provider: str | None = None
    result: SendResult | None = None
    outbound: OutboundMessage | None = None
    #: It stays pending and goes into a new batch that is due then.
    again_at: datetime | None = None
    alone: bool = False
    #: A provider was called.
    attempt: bool = False
    #: It becomes a dead letter with this code.
    dead_code: str = ""
    #: What a row channel shows, sealed.
    content: bytes | None = None
    #: It counts against these limits, where the record delivers it.
    limits: tuple[Limit, ...] = ()
    #: It goes into a digest.
    folding: Folding | None = None
    #: The data key of its person or address.
    key: Key | None = None
    #: Its key is in a committed journal, and it uses a permit until it is recorded.
    in_flight: bool = False


def trail_of(at: datetime, event: str, reason: str = "") -> str:
    """Returns one entry of a trail: `[ms, "event", "reason"]`."""
    return _entry(epoch_ms(at), event, reason)


@functools.lru_cache(maxsize=1024)
def _entry(at_ms: int, event: str, reason: str) -> str:
    """The messages of a slice have the same time, and mostly the same event and reason."""
    return json.dumps([at_ms, event, reason], ensure_ascii=False)


def trails(*entries: tuple[datetime, str, str]) -> str:
    """Returns several entries, as the trail column appends them."""
    return ",".join([trail_of(*entry) for entry in entries])


def bare(outcome: Outcome) -> Outcome:
    """Returns the outcome without the texts of the provider and the options of the message.

    For outcomes whose texts the database refuses or our own code cannot read.
    """
    result = outcome.result
    if result is not None:
        code = "".join(c for c in result.error_code if c.isprintable())[:50]
        result = SendResult(result.verdict, error="not recordable", error_code=code)
    message = outcome.message._replace(options=None)
    return replace(outcome, message=message, result=result, dead_code=outcome.dead_code[:50])


def error_text(result: SendResult | None) -> str | None:
    """Returns the short error of a result; None when there was none."""
    return (result.error or result.error_code or None) if result else None


def last_result(result: SendResult | None) -> dict[str, Any] | None:
    """Returns a result in the form that a dead letter stores (sealed)."""
    if result is None:
        return None
    return {
        "verdict": result.verdict,
        "error": result.error,
        "error_code": result.error_code,
        "provider_message_id": result.provider_message_id,
        "response": result.response,
    }
