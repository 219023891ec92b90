"""Makes dead letters `poison` of messages that our own code cannot process; the others continue.

It reads only keys, numbers and names of a message: another value may be what cannot be read.
"""

from __future__ import annotations

import structlog
from django.db import transaction

from notifications.domain.lifecycle import MessageStatus
from notifications.infra import ports, telemetry
from notifications.infra.database.clock_bridge import database_now
from notifications.models import (
    BroadcastChange,
    NotificationMessage,
    change_status,
    pack_keys,
    unpack_keys,
)
from notifications.models.delivery.origin import origins_of
from notifications.queue import batches
from notifications.queue.leases import Lease

log = structlog.get_logger("carillon.recording")
POISON = "poison"


def new_trace() -> str:
    """Returns a short id that a dead letter shares with the log lines of its cause."""
    return ports.token(6)


def poison_text(error: BaseException, trace: str) -> str:
    """Returns the text of a dead letter. The error's own text is only in the log: it may hold
    personal data."""
    return f"{type(error).__name__} while it was processed; see the log for trace {trace}"


def record_poison(lease: Lease, key: int, error: BaseException, *, owner: str) -> bool:
    """Makes a dead letter of a message in a lease of this owner, and removes it from the lease.

    Returns:
        False when another owner has the batch, or it is locked: then nothing is written.
    """
    trace = new_trace()
    log.error("message.poison", message_id=key, trace=trace, exc_info=error)
    now = database_now()
    with transaction.atomic():
        if lease.batch_id not in batches.lock_owned([lease], owner).locked:
            return False
        ours = NotificationMessage.objects.filter(pk=key, batch_id=lease.batch_id).exists()
        moved = ours and change_status([key], MessageStatus.FAILED, reason=POISON, at=now)
        if moved:
            origin = origins_of([key])[key]
            origin.write_dead_letter(
                code=POISON,
                last_error=poison_text(error, trace),
                attempts=origin.attempts,
                failed_at=now,
            )
            BroadcastChange.objects.append([(lease.source, origin.notification_id)])
        # Another thread may have committed a journal that the lease in memory does not show yet.
        journals = batches.statements().read_journals([lease], owner)
        journal = unpack_keys(journals.get(lease.batch_id, ""))
        if key in journal:
            rest = [each for each in journal if each != key]
            batches.statements().write_journals({lease.batch_id: pack_keys(rest)})
    if key in lease.journal:
        lease.journal = lease.journal - {key}
    lease.open_keys.discard(key)
    lease.stale = True  # with nothing open it is deleted when it is given back
    if moved:
        telemetry.log_dead_letter(key, POISON, origin.attempts)
    return True
