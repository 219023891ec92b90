"""How far the sealer of the audit log is behind, for health and metrics."""

from __future__ import annotations

from dataclasses import dataclass

from notifications.infra import clock
from notifications.infra.database.clock_bridge import database_now
from notifications.models import AuditHead, AuditQueued
from notifications.models.audit.entries import queue_length

_MOST_COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class AuditBacklog:
    """The state of the queue and of the tree."""

    #: Queued entries, up to 100,000.
    queued: int
    #: Seconds since the oldest queued entry happened; 0 for none.
    age_s: float
    leaves: int
    #: Seconds since the newest checkpoint was signed; 0 for none.
    checkpoint_age_s: float


def audit_backlog() -> AuditBacklog:
    """Returns the state now, by the database's clock."""
    now_ms = clock.epoch_ms(database_now())
    oldest = AuditQueued.objects.order_by("id").values_list("at_ms", flat=True).first()
    head = AuditHead.objects.first() or AuditHead()
    return AuditBacklog(
        queued=queue_length(_MOST_COUNTED),
        age_s=max(0.0, (now_ms - oldest) / 1000) if oldest is not None else 0.0,
        leaves=head.size,
        checkpoint_age_s=max(0.0, (now_ms - head.signed_ms) / 1000) if head.signed_ms else 0.0,
    )
