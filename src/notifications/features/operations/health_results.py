"""What a health check reports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from notifications.infra.field_types import BreakerStateName, choice

HEALTHY, UNHEALTHY, DEGRADED = "healthy", "unhealthy", "degraded"


CheckStatus = Annotated[str, choice("CheckStatus", (HEALTHY, UNHEALTHY), "The result of a check.")]
HealthStatus = Annotated[
    str, choice("HealthStatus", (HEALTHY, DEGRADED), "`degraded` when any check is `unhealthy`.")
]


class LaneHealth(msgspec.Struct, kw_only=True):
    """The messages of one lane."""

    queued: int
    """The number of messages that wait. Example: `1200`"""

    overdue: int
    """The number of messages whose time has come. Example: `40`"""

    age_s: float
    """For how many seconds the oldest message is overdue. Example: `0.8`"""


class ProviderHealth(msgspec.Struct, kw_only=True):
    """A provider that carries a channel now."""

    breaker: BreakerStateName

    last_success_at: datetime | None
    """When it last accepted a message (RFC 3339); null when it never did."""


NOT_MIGRATED = "it cannot be read before `carillon migrate` has run"
"""The reason of a check whose tables or columns do not exist yet."""


class CheckResponse(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The result of one check. Fields that are null are left out."""

    status: CheckStatus

    reason: str | None = None
    """Why the check is unhealthy. Example: `no worker is alive`"""

    lanes: dict[str, LaneHealth] | None = None
    """The queues by lane."""

    count: int | None = None
    """The number that the check counted, such as living workers. Example: `2`"""

    providers: dict[str, ProviderHealth] | None = None
    """The chosen providers by key."""
