"""The epoch of all positions: it changes when the database was restored from a copy.

A position says nothing in a database that lost events. So a number in the key store, which is
backed up apart, rises before the first event of each second, and is copied into the main database
with that event. A main database that stays behind the key store was restored.
"""

from __future__ import annotations

import secrets
from typing import ClassVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, models, transaction

from notifications.infra import clock
from vault.models import EventBeat

_EVERY_S = 1.0
_LENGTH = 8


class _Raised:
    """When this process raised the number last (monotonic s), to what, and what it copied."""

    at = -_EVERY_S
    beat = 0
    copied = 0


def keep_beat() -> None:
    """Raises the number in the key store, at most once a second in this process.

    Called before the transaction of an event; `copy_beat` is called within it. Where keys are in
    the main database, both are restored together, so the number would tell nothing.
    """
    now = clock.monotonic()
    if now - _Raised.at >= _EVERY_S and settings.KEYS_ALIAS != DEFAULT_DB_ALIAS:
        _Raised.beat = EventBeat.objects.raise_one()
        _Raised.at = now


class InboxEpochManager(models.Manager["InboxEpoch"]):
    """Reads and writes the one row."""

    def current(self) -> str:
        """Returns the epoch."""
        return self.values_list("epoch", flat=True).get(pk=1)

    def copy_beat(self) -> None:
        """Copies the number of this process into the main database, in the caller's transaction.

        It waits for no one, because the caller may hold the counters of people. While another
        transaction has the row, the number stays for the next event.
        """
        beat = _Raised.beat
        if beat == _Raised.copied:
            return
        row = self.select_for_update(skip_locked=True).filter(pk=1).first()
        if row is None:
            return
        if row.beat < beat:
            row.beat = beat
            row.save(update_fields=["beat"])
        transaction.on_commit(lambda: setattr(_Raised, "copied", beat))

    def beats(self) -> tuple[int, int]:
        """Returns the number that events copied, and that of the key store."""
        return self.values_list("beat", flat=True).get(pk=1), EventBeat.objects.value()

    def renew(self) -> str:
        """Begins a new epoch, because events were lost; returns it."""
        fresh = new_epoch()
        with transaction.atomic():
            self.update_or_create(
                pk=1, defaults={"epoch": fresh, "beat": EventBeat.objects.value()}
            )
        return fresh


class InboxEpoch(models.Model):
    """One row, made with its table."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    #: Letters and digits. Clients only compare it.
    epoch = models.CharField(max_length=16)
    #: The newest number that an event copied from the key store.
    beat = models.BigIntegerField(default=0)

    objects: ClassVar[InboxEpochManager] = InboxEpochManager()

    def __str__(self) -> str:
        return f"epoch {self.epoch}"


def new_epoch() -> str:
    """Returns a text that no epoch of any installation has had."""
    return secrets.token_hex(_LENGTH // 2)
