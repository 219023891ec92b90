"""The inbox: the notification's own row is the message, so no vendor is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from notifications.delivery.base import Capabilities, NotificationChannelProvider
from notifications.domain.messages import OutboundMessage, SendResult, Verdict

_DELIVERED = SendResult(Verdict.DELIVERED)


class InboxProvider(NotificationChannelProvider):
    """Delivers by the record: the recorder commits the inbox row with the result."""

    key: ClassVar[str] = "in_app"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="in_app", batch_size=500, concurrency=1, idempotent=True, row_channel=True
    )

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns that the message is delivered; there is no vendor's message id."""
        return {"success": True, "delivered": True, "message_id": ""}

    async def validate_recipient(self, recipient: str) -> bool:
        """Always true: the recipient is a user id that was already loaded."""
        return True

    async def send_batch(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        """Returns one shared result for all messages, without awaiting anything."""
        return [_DELIVERED] * len(messages)
