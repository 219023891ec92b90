"""The sandbox: any channel. No vendor is called; each message is stored and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from notifications.delivery.base import Capabilities, NotificationChannelProvider, with_our_names
from notifications.domain.messages import OutboundMessage, SendResult, Verdict


class SandboxProvider(NotificationChannelProvider):
    """Accepts every message of every channel. The recorder stores the row that /outbox/ shows."""

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
        """Accepts the message; its id contains our own reference."""
        message = with_our_names(message)
        return {"success": True, "message_id": f"sandbox-{message['reference']}"}

    async def validate_recipient(self, recipient: str) -> bool:
        """Always true: a message is shown even if a vendor would refuse its recipient."""
        return True

    async def send_batch(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        """Accepts all messages, without awaiting anything."""
        return [
            SendResult(Verdict.SENT, provider_message_id=f"sandbox-{message.reference}")
            for message in messages
        ]
