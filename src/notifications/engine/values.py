"""A slice of messages on its way through the steps, and what of it is ready to leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifications.domain.lifecycle import MessageStatus
from notifications.domain.limits import Limit
from notifications.domain.messages import OutboundMessage
from notifications.engine.shared_rows import CategoryFacts
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.decide import Digest, Send
from notifications.policy.facts import SliceFacts
from notifications.queue.leases import Lease
from notifications.recording.outcomes import Outcome


@dataclass(slots=True)
class Ready:
    """A message that may leave: decided, rendered, routed."""

    lease: Lease
    message: PendingMessage
    outbound: OutboundMessage
    provider: str
    category: CategoryFacts
    template: str = ""
    limits: tuple[Limit, ...] = ()
    override: str = ""  # why it goes although the person wished otherwise
    prepared_at: float = 0.0  # on the monotonic clock
    is_probe: bool = False  # it tries whether a service is back
    leaves_at: float = 0.0  # its slot, on the monotonic clock; 0 where there is no limit
    cost: int = 0  # of an SMS, in millionths, where a day has a limit


@dataclass(slots=True)
class Slice:
    """Messages of one channel on their way through the steps."""

    channel: str
    lease_of: dict[int, Lease]
    at: datetime
    messages: list[PendingMessage] = field(default_factory=list)
    facts: SliceFacts = field(default_factory=SliceFacts)
    allowed: list[tuple[PendingMessage, Send]] = field(default_factory=list)
    folded: list[tuple[PendingMessage, Digest]] = field(default_factory=list)
    ready: list[Ready] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    #: Messages that could not be worked on: key, lease, and what was raised.
    poisoned: list[tuple[int, Lease, Exception]] = field(default_factory=list)

    def joined(self, other: Slice) -> Slice:
        """One slice of what two are to lead to; their facts and steps stay behind."""
        return Slice(
            self.channel,
            {**self.lease_of, **other.lease_of},
            self.at,
            messages=self.messages + other.messages,
            ready=self.ready + other.ready,
            outcomes=self.outcomes + other.outcomes,
            poisoned=self.poisoned + other.poisoned,
        )

    def settled(self, message: PendingMessage, status: MessageStatus, **more: Any) -> None:
        """Notes the outcome of a message that goes no further in this pass."""
        lease = self.lease_of[message.id]
        more.setdefault("attempts", message.attempts)
        self.outcomes.append(Outcome(lease, message, status, at=self.at, **more))
