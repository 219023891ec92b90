"""Restores of a backup, as the audit log names them.

A restore loses the leaves since its backup, so a checkpoint that was stored elsewhere differs from
the restored tree. The restore writes an entry with a tag that only the audit's key makes. So
`verify` tells a restore from a log that was cut off by somebody with the database alone.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from notifications.domain.checkpoints import Checkpoint
from notifications.features.audit.proofs import root_at
from notifications.infra import clock
from notifications.infra.audit_keys import audit_keys
from notifications.models import AuditHead, AuditLeaf
from notifications.models.audit.entries import NewEntry, Values, write_entry
from notifications.models.audit.tree import NO_SLICE

ACTION = "installation.restored"
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """One restore: the leaves from `size` on were written after it."""

    size: int
    at: datetime

    def explains(self, size: int, at: datetime) -> bool:
        """Whether a checkpoint of an earlier time differs because of this restore."""
        return self.size < size and at <= self.at


def record_restore(*, at: datetime, details: Values) -> None:
    """Records that the database was restored, in the caller's transaction."""
    head = AuditHead.objects.first() or AuditHead()
    tag = audit_keys()[0].tag(head.size, _subject(clock.epoch_ms(at))).hex()
    entry = NewEntry(actor="cli", action=ACTION, target=f"leaves:{head.size}:{tag}", after=details)
    write_entry(entry, at=at)


def restore_points() -> list[RestorePoint]:
    """Returns the restores that the log names, the oldest first; forged entries are left out."""
    rows = AuditLeaf.objects.filter(NO_SLICE, action=ACTION).order_by("number")
    points = []
    for target, at_ms in rows.values_list("target", "at_ms")[:_MOST]:
        _, _, rest = target.partition(":")
        size, _, tag = rest.partition(":")
        if size.isascii() and size.isdecimal() and _is_ours(int(size), at_ms, tag):
            points.append(RestorePoint(int(size), clock.from_epoch_ms(at_ms)))
    return points


def _is_ours(size: int, at_ms: int, tag: str) -> bool:
    wanted = (key.tag(size, _subject(at_ms)).hex() for key in audit_keys())
    return any(hmac.compare_digest(each, tag) for each in wanted)


def _subject(at_ms: int) -> bytes:
    return sha256(b"carillon restored" + at_ms.to_bytes(8, "big")).digest()


class OtherHistory(Exception):
    """The restored tree is not that of the archive's checkpoint."""


def check_continues(checkpoint: Checkpoint) -> None:
    """Checks that the tree has the root of a checkpoint at its size.

    Raises:
        OtherHistory: it has another one.
    """
    head = AuditHead.objects.first() or AuditHead()
    if head.size < checkpoint.size or root_at(checkpoint.size) != checkpoint.root:
        raise OtherHistory(
            f"the audit tree in the archive is not that of its checkpoint of {checkpoint.size}"
            " leaves: the database was changed; run `carillon audit verify`"
        )
