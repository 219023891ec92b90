"""What must be done now and then, by any process, as often as anybody likes."""

from __future__ import annotations

from datetime import timedelta

from notifications.conf import environment
from notifications.infra import clock
from notifications.models import IdempotencyKey
from notifications.queue import takeover

_AT_ONCE = 5_000


def maintain() -> dict[str, int]:
    """Deletes idempotency keys that no longer replay, and takes over what dead workers held.

    Bounded: what is left over is done next time.
    """
    before = clock.now() - timedelta(hours=environment().idempotency_hours)
    old = IdempotencyKey.objects.filter(created_at__lt=before).order_by("pk")
    gone, _ = IdempotencyKey.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[:_AT_ONCE])
    ).delete()
    swept = takeover.sweep(everywhere=True)
    return {"idempotency_keys_deleted": gone, "batches_taken_over": swept.batches}
