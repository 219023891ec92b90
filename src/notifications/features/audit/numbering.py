"""The numbers of checkpoints, by which a verification finds that one is missing.

Each checkpoint has the next number, and names the hourly checkpoint before it. A tag covers both,
so that no one without the key can close a gap.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256

from notifications.infra.audit_keys import AuditKey
from notifications.models import AuditCheckpoint

STORED_MS = 86_400_000
"""How long a checkpoint stays that is not the first of its hour."""


def checkpoint_tag(
    key: AuditKey, sequence: int, previous_hourly: int, hourly: bool, note: str
) -> bytes:
    """Returns the tag of a checkpoint with these numbers."""
    head = f"checkpoint {previous_hourly} {int(hourly)}\n"
    return key.tag(sequence, sha256(head.encode() + note.encode()).digest())


class CheckpointNumbers:
    """Checks the numbers of checkpoints, which come in their order.

    Args:
        keys: the keys that may have tagged them.
        now_ms: checkpoints that are not hourly may be missing when they are a day older.
    """

    def __init__(self, keys: Sequence[AuditKey], now_ms: int) -> None:
        self._keys = keys
        self._all_since = now_ms - STORED_MS
        self._last = 0
        self._last_ms = 0
        self._last_hourly = 0

    def problem_of(self, row: AuditCheckpoint) -> str:
        """Returns what is wrong with the number of a checkpoint; empty where nothing is."""
        if row.sequence is None or row.previous_hourly is None:
            return ""  # an older release signed it
        if not self._is_ours(row):
            return "its number was changed"
        problem = self._gap_before(row)
        self._last, self._last_ms = row.sequence, row.at_ms
        # A missing one is named once.
        self._last_hourly = max(self._last_hourly, row.previous_hourly)
        if row.hourly:
            self._last_hourly = row.sequence
        return problem

    def _gap_before(self, row: AuditCheckpoint) -> str:
        sequence, previous = row.sequence or 0, row.previous_hourly or 0
        if sequence <= self._last:
            return "it was inserted or moved"
        if previous > self._last_hourly:
            return f"the hourly checkpoint number {previous} before it is missing"
        if self._last and sequence > self._last + 1 and self._last_ms >= self._all_since:
            return f"the checkpoint number {sequence - 1} before it is missing"
        return ""

    def _is_ours(self, row: AuditCheckpoint) -> bool:
        tag = bytes(row.tag or b"")
        numbers = (row.sequence or 0, row.previous_hourly or 0, row.hourly)
        return any(
            hmac.compare_digest(checkpoint_tag(key, *numbers, row.note), tag) for key in self._keys
        )
