"""Values of the engine: a slice of messages in its steps, and a message ready to be sent."""

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
from vault.cells import Key


@dataclass(slots=True)
class Ready:
    """A message that is decided, rendered and routed, and may be sent."""

    lease: Lease
    message: PendingMessage
    outbound: OutboundMessage
    provider: str
    category: CategoryFacts
    template: str = ""
    limits: tuple[Limit, ...] = ()
    #: Why it is sent although a preference says no.
    override: str = ""
    #: On the monotonic clock.
    prepared_at: float = 0.0
    #: It tests whether a service recovered.
    is_probe: bool = False
    #: Its slot, on the monotonic clock; 0 where there is no rate limit.
    leaves_at: float = 0.0
    #: The data key of its person or address, which seals what is stored about it.
    key: Key | None = None
    #: The cost of an SMS in millionths, where there is a daily spend.
    cost: int = 0
    #: The names of its person, which error texts must not have.
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Slice:
    """Messages of one channel that go through the steps."""

    channel: str
    lease_of: dict[int, Lease]
    at: datetime
    messages: list[PendingMessage] = field(default_factory=list)
    facts: SliceFacts = field(default_factory=SliceFacts)
    allowed: list[tuple[PendingMessage, Send]] = field(default_factory=list)
    folded: list[tuple[PendingMessage, Digest]] = field(default_factory=list)
    ready: list[Ready] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    #: Messages that our code could not process: key, lease and error.
    poisoned: list[tuple[int, Lease, Exception]] = field(default_factory=list)

    def joined(self, other: Slice) -> Slice:
        """Returns one slice with the messages and outcomes of two. Facts are not joined."""
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
        """Adds the outcome of a message that ends its pass here."""
        lease = self.lease_of[message.id]
        more.setdefault("attempts", message.attempts)
        self.outcomes.append(Outcome(lease, message, status, at=self.at, **more))
