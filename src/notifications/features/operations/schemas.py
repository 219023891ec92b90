"""Response bodies of operations: kill switches and dead letters."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from notifications.infra.field_types import CategoryKey, ChannelName, ProviderKey, choice
from notifications.models import DeadLetter, KillSwitch

STOP_SCOPE = choice("StopScope", KillSwitch.Scope.values, "What a kill switch stops.")


class StopResponse(msgspec.Struct, kw_only=True):
    """A kill switch in force."""

    scope: Annotated[str, STOP_SCOPE]

    value: str
    """What of the scope is stopped; empty for the scope `all`. Example: `email`"""

    reason: str
    """Why it was stopped. Example: `vendor incident`"""

    actor: str
    """Who stopped it. Example: `user:1`"""

    created_at: datetime
    """When it was stopped (RFC 3339)."""


class DeadLetterResponse(msgspec.Struct, kw_only=True):
    """A message that failed for good, or that needs a person's decision."""

    id: int
    """The integer id of the dead letter. Example: `8`"""

    notification_id: UUID | None
    """The id of the notification; null after its retention ended."""

    channel: ChannelName
    provider: ProviderKey
    category: CategoryKey

    code: str
    """The code of the error, or `uncertain` or `poison`. Example: `uncertain`"""

    last_error: str
    """The last error of a provider as a sentence. Example: `no response within 10 s`"""

    attempts: int
    """The number of calls to a provider. Example: `5`"""

    failed_at: datetime
    """When it became a dead letter (RFC 3339)."""

    resolution: Annotated[
        str,
        choice(
            "Resolution",
            (*DeadLetter.Resolution.values, ""),
            "How a dead letter was resolved; empty while it is open.",
        ),
    ]

    resolution_reason: str
    """Why it was resolved so; empty while it is open. Example: `the vendor confirmed it`"""

    resolved_at: datetime | None
    """When it was resolved (RFC 3339); null while it is open."""
