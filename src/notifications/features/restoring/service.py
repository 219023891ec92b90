"""Makes a restored database ready to send. Each step may be repeated after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from notifications.features.audit.restores import record_restore
from notifications.features.audit.sealer import seal_due
from notifications.features.broadcasts.delivery.fold import fold_changes
from notifications.features.privacy.known import KnownErasures
from notifications.features.privacy.reapply import Reapplied, erase_again, erase_known_keys
from notifications.features.restoring.access import EndedAccess, end_access
from notifications.features.restoring.settle import SettledWork, free_batches, hold_open
from notifications.infra import clock
from notifications.infra.database.clock_bridge import database_now
from notifications.models import InboxEpoch, InstallationState

Report = Callable[[str], object]
"""Called with a line about the step that begins."""


@dataclass(frozen=True, slots=True)
class RestoreSummary:
    """What was done to a restored database."""

    erased: Reapplied
    #: None where open messages are sent, as `--send-open` says.
    held: SettledWork | None
    access: EndedAccess


def settle_restored(
    known: KnownErasures, *, backup_at: datetime | None, send_open: bool, report: Report
) -> RestoreSummary:
    """Applies erasures, ends sessions and tokens, and settles what was open. Then records the
    restore, and lets the processes start.

    Raises:
        NotFreed: another process works on the database. ErasureFailed: an erasure does not go on.
        NotMade: a digest or an occurrence of a series cannot be made.
    """
    InstallationState.objects.unsettle()
    report("deleting the keys of erased people")
    deleted = erase_known_keys(known)
    report("ending sessions and tokens")
    access = end_access()
    report("taking over what was in flight")
    free_batches()
    report("erasing again")
    erased = erase_again(known, now=clock.now(), count=lambda: fold_changes(now=clock.now()))
    erased.keys += deleted
    held = None
    if not send_open:
        report("holding what was open")
        held = hold_open(now=database_now())
    at = clock.now()
    with transaction.atomic():
        record_restore(at=at, details=_details(backup_at, erased, held, access))
        InboxEpoch.objects.renew()  # clients may know events that the copy does not have
        InstallationState.objects.settle(at=at, backup_at=backup_at)
    seal_due(now=database_now())
    return RestoreSummary(erased, held, access)


def _details(
    backup_at: datetime | None, erased: Reapplied, held: SettledWork | None, access: EndedAccess
) -> Mapping[str, Any]:
    return {
        "backup_at": None if backup_at is None else backup_at.isoformat(),
        "erased": asdict(erased),
        "sessions": access.sessions,
        "tokens": access.tokens,
        "held": None if held is None else asdict(held),
    }
