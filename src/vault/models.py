"""The rows of the key store: wrapped keys, and which were erased."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F


class DataKey(models.Model):
    """One data key, wrapped by a master key."""

    class Kind(models.TextChoices):
        PERSON = "person", "Person"
        ADDRESS = "address", "Address"
        FILE = "file", "File of several people"
        JOB = "job", "Bulk call"

    #: Time-ordered, chosen by the creator. Cells contain it.
    id = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    #: Format byte, id of the master key (4 bytes), nonce, ciphertext with tag.
    wrapped = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "vault_datakey"

    def __str__(self) -> str:
        return f"{self.kind} key {self.pk}"


class ErasedKey(models.Model):
    """A data key that was erased, so that a lost key is not taken for an erased one."""

    #: The id of the key.
    id = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=8, choices=DataKey.Kind.choices)
    erased_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "vault_erasedkey"

    def __str__(self) -> str:
        return f"erased {self.kind} key {self.pk}"


class EventBeatManager(models.Manager["EventBeat"]):
    """Raises and reads the one row."""

    def raise_one(self) -> int:
        """Raises the number by one and returns it, or a larger one that another process made."""
        self.filter(pk=1).update(value=F("value") + 1)
        return self.value()

    def value(self) -> int:
        """Returns the number."""
        return self.values_list("value", flat=True).get(pk=1)


class EventBeat(models.Model):
    """One row: a number that rises before events of the main database are committed.

    A main database that stays behind it was restored from a copy. See
    `notifications.models.inbox.epoch`.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    value = models.BigIntegerField(default=0)

    objects: ClassVar[EventBeatManager] = EventBeatManager()

    class Meta:
        db_table = "vault_eventbeat"

    def __str__(self) -> str:
        return f"beat {self.value}"
