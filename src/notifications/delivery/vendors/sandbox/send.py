"""The sandbox: any channel, nobody is called, and what would have gone out is kept and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from notifications.delivery.base import Capabilities, NotificationChannelProvider, with_our_names
from notifications.domain.messages import OutboundMessage, SendResult, Verdict


class SandboxProvider(NotificationChannelProvider):
    """Takes every message of every channel. The recorder keeps the row that /outbox/ shows."""

    key: ClassVar[str] = "sandbox"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="any",
        batch_size=500,
        concurrency=1,
        attachments=True,
        idempotent=True,
        row_channel=True,
    )

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Takes the message under an id made of our own reference."""
        message = with_our_names(message)
        return {"success": True, "message_id": f"sandbox-{message['reference']}"}

    async def validate_recipient(self, recipient: str) -> bool:
        """Always: whatever would have been called is shown, also when a vendor would refuse it."""
        return True

    async def send_batch(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        """Takes them all; nothing is awaited."""
        return [
            SendResult(Verdict.SENT, provider_message_id=f"sandbox-{message.reference}")
            for message in messages
        ]
