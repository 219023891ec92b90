"""A fake mail service: it is slow, hangs, refuses, reports wrongly, and breaks connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from carillon.sim.baton import Baton
from notifications.delivery import registry
from notifications.delivery.base import Capabilities, NotificationChannelProvider
from notifications.domain.channels import Channel
from notifications.domain.messages import OutboundMessage, SendResult, Verdict

KEY = "smtp"
"""The provider key that the fake service replaces."""


class Network:
    """The fake service of one run.

    Args:
        calm: no call fails or hangs.
        slow: four calls in ten take up to 12 s.
    """

    def __init__(self, baton: Baton, *, calm: bool, slow: bool) -> None:
        #: How often each message really arrived, by its id.
        self.arrived: Counter[int] = Counter()
        #: Called once, when the next message arrives.
        self.at_arrival: Callable[[], None] | None = None
        self._baton = baton
        self._calm = calm
        self._slow = slow

    def record_arrival(self, message: OutboundMessage) -> None:
        """Records that a message arrived."""
        self.arrived[message.message_id] += 1
        if self.at_arrival is not None:
            call, self.at_arrival = self.at_arrival, None
            call()

    async def respond(self, message: OutboundMessage) -> SendResult:
        """Returns the result of one message, drawn from the run's seed."""
        draw = self._baton.random.random
        await asyncio.sleep(draw() * (12.0 if self._slow and draw() < 0.4 else 0.2))
        fate = 0.0 if self._calm else draw()
        if fate < 0.75:
            self.record_arrival(message)
            await asyncio.sleep(draw() * 0.1)
            return SendResult(Verdict.SENT, provider_message_id=f"sim-{message.message_id}")
        if fate < 0.85:
            return SendResult(Verdict.RETRY, error="busy", error_code="busy")
        if fate < 0.88:
            return SendResult(Verdict.FAILED, error="no such mailbox", error_code="mailbox")
        if fate < 0.92:
            if draw() < 0.5:
                self.record_arrival(message)
            return SendResult(Verdict.UNCERTAIN, error="broken off", error_code="broken_off")
        if fate < 0.95:
            self.record_arrival(message)
            raise ConnectionResetError("the service broke off")
        await asyncio.sleep(3600)  # it hangs until the call's time-out
        raise AssertionError


class SimMail(NotificationChannelProvider):
    """The fake service as a provider."""

    key = KEY
    capabilities = Capabilities(channel=Channel.EMAIL, batch_size=4, concurrency=4)
    network: ClassVar[Network]

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Not called: `send_batch` is."""
        raise NotImplementedError

    async def validate_recipient(self, recipient: str) -> bool:
        """Returns true for every address."""
        return bool(recipient)

    async def send_batch(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        """Returns one result per message, in order."""
        return [await self.network.respond(message) for message in messages]


def install(network: Network) -> None:
    """Makes the fake service handle the provider key, for the rest of the process."""
    SimMail.network = network
    registry._BY_KEY[KEY] = _Fake(KEY, ("email",), send="SimMail")
    registry.provider_class.cache_clear()


class _Fake(registry.Vendor):
    """The entry of the vendor that the fake service replaces."""

    def part(self, file: str, name: str) -> str:
        """Returns the fake provider for every part."""
        return f"{__name__}:{name}"
