"""The documented address of the Python names of broadcasts: `notifications.services.broadcast`."""

from __future__ import annotations

from notifications.features.broadcasts.documented import (
    BroadcastService,
    process_scheduled_broadcasts,
    send_broadcast_async,
)

__all__ = ["BroadcastService", "process_scheduled_broadcasts", "send_broadcast_async"]
