"""The inbox: the notification's own row is the message, so that there is nobody to call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from notifications.delivery.base import Capabilities, NotificationChannelProvider
from notifications.domain.messages import OutboundMessage, SendResult, Verdict

_DELIVERED = SendResult(Verdict.DELIVERED)


class InboxProvider(NotificationChannelProvider):
    """Delivers by being recorded: the recorder commits the inbox row with the outcome."""

    key: ClassVar[str] = "in_app"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="in_app", batch_size=500, concurrency=1, idempotent=True, row_channel=True
    )

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answers that the message is delivered; there is no message id but our own."""
        return {"success": True, "delivered": True, "message_id": ""}

    async def validate_recipient(self, recipient: str) -> bool:
        """Always: the recipient is a user's id, which the facts have already found."""
        return True

    async def send_batch(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        """One shared outcome for all: nothing is awaited, nothing is made per message."""
        return [_DELIVERED] * len(messages)
