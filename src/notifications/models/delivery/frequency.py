"""Counts the recent messages of each user under each limit, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple

from django.db import models

from notifications.domain.limits import Entry, Limit, is_spent, pack_entries, recent, unpack_entries
from notifications.infra.clock import epoch_ms

Key = tuple[int, str, str, int]


class FrequencyClaim(NamedTuple):
    """A message that is about to be dispatched, and the limits that apply to it."""

    message_id: int
    user_id: int
    limits: tuple[Limit, ...]

    def rows(self) -> list[tuple[Key, Limit]]:
        """Returns the key of the row for each limit."""
        return [((self.user_id, *limit[:3]), limit) for limit in self.limits]


class FrequencyManager(models.Manager["FrequencyCount"]):
    """Counts messages when they are dispatched, never more than a limit allows."""

    def claim(self, claims: Sequence[FrequencyClaim], *, at: datetime) -> dict[int, str]:
        """Counts these messages under all their limits. Returns those refused, with the reason.

        A message that would exceed one limit is refused and counted under none. A message that was
        counted before is not counted again. The rows are locked, in one order, until the caller's
        transaction ends.
        """
        keys = sorted({key for claim in claims for key, _ in claim.rows()})
        rows = self._locked(keys, at)
        entries = {key: unpack_entries(row.entries) for key, row in rows.items()}
        refused: dict[int, str] = {}
        now_ms = epoch_ms(at)
        for claim in claims:
            spent = [
                limit.reason
                for key, limit in claim.rows()
                if is_spent(entries[key], limit, now_ms=now_ms, message_id=claim.message_id)
            ]
            if spent:
                refused[claim.message_id] = spent[0]
                continue
            for key, limit in claim.rows():
                counted = recent(entries[key], limit, now_ms)
                if all(entry.message_id != claim.message_id for entry in counted):
                    counted.append(Entry(now_ms, claim.message_id))
                entries[key] = counted
                rows[key].until = at + timedelta(seconds=limit.window_s)
        for key, row in rows.items():
            row.entries = pack_entries(entries[key])
        self.bulk_update(rows.values(), ["entries", "until"])
        return refused

    def _locked(self, keys: Sequence[Key], at: datetime) -> dict[Key, FrequencyCount]:
        self.bulk_create(
            (
                FrequencyCount(
                    user_id=user, scope=scope, channel=channel, window_s=window, until=at
                )
                for user, scope, channel, window in keys
            ),
            ignore_conflicts=True,
        )
        users, scopes = {key[0] for key in keys}, {key[1] for key in keys}
        found = self.select_for_update().filter(user_id__in=users, scope__in=scopes)
        rows = {
            (row.user_id, row.scope, row.channel, row.window_s): row
            for row in found.order_by("user_id", "scope", "channel", "window_s")
        }
        if not rows.keys() >= set(keys):  # maintenance deleted a row between the statements
            return self._locked(keys, at)
        return {key: rows[key] for key in keys}


class FrequencyCount(models.Model):
    """The messages that one user received under one limit in the last window."""

    user_id = models.BigIntegerField()
    #: `category:<key>`, `throttle:<key>` or `dedupe:<collapse key>`.
    scope = models.CharField(max_length=150)
    channel = models.CharField(max_length=10)  # empty: all channels together
    window_s = models.PositiveIntegerField()
    #: "ms:message ..." of the messages that were dispatched.
    entries = models.TextField(default="")
    #: When the last entry leaves the window.
    until = models.DateTimeField(db_index=True)

    objects: ClassVar[FrequencyManager] = FrequencyManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "scope", "channel", "window_s"], name="frequency_count_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.scope} of user {self.user_id}"
