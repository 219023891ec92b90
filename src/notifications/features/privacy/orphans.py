"""Deletes data keys without a row: a process died between the commit of a key and that of its row.

Such a key seals nothing. Keys are looked at in their order, which is that of time, by indexes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from django.db.models import Model

from directory.models import AddressKey, User
from notifications.models import InstallationState, Job, StoredAttachment
from vault.models import DataKey
from vault.store import erase_keys, first_id_at

AT_ONCE = 5_000
"""The most keys that one step looks at."""
HOLDERS: Mapping[DataKey.Kind, type[Model]] = {
    DataKey.Kind.PERSON: User,
    DataKey.Kind.ADDRESS: AddressKey,
    DataKey.Kind.FILE: StoredAttachment,
    DataKey.Kind.JOB: Job,
}
"""The model whose row holds a key of each kind, by its column `key_id`."""
_AGE = timedelta(days=1)
_AFTER_RESTORE = timedelta(days=7)
_FEW = 20
log = structlog.get_logger("carillon.keys")


class OrphanSweep:
    """Looks at all keys, a step at a time. A process begins again at the first key."""

    def __init__(self) -> None:
        self._last = 0

    def step(self, *, now: datetime) -> int:
        """Looks at the next keys that are older than a day; returns how many it deleted.

        Nothing is deleted for a week after a restore: another backup may need the keys. Nothing is
        deleted where most keys have no row, because the key store may be that of another database.
        """
        if InstallationState.objects.filter(
            backup_at__isnull=False, settled_at__gt=now - _AFTER_RESTORE
        ).exists():
            return 0
        rows = DataKey.objects.filter(pk__gt=self._last, pk__lt=first_id_at(now - _AGE))
        page = list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
        self._last = page[-1] if len(page) == AT_ONCE else 0
        orphans = set(page)
        for model in HOLDERS.values():
            used = model._default_manager.filter(key_id__in=page)
            orphans.difference_update(used.values_list("key_id", flat=True))
        if len(page) >= _FEW and len(orphans) > len(page) // 2:
            log.error("keys.sweep_refused", looked_at=len(page), without_row=len(orphans))
            return 0
        deleted = erase_keys(orphans, at=now) if orphans else 0
        if deleted:
            log.info("keys.orphans_deleted", count=deleted)
        return deleted


SWEEP = OrphanSweep()
