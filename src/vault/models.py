"""The rows of the key store: wrapped keys, and which were erased."""

from __future__ import annotations

from django.db import models


class DataKey(models.Model):
    """One data key, wrapped by a master key."""

    class Kind(models.TextChoices):
        PERSON = "person", "Person"
        ADDRESS = "address", "Address"
        FILE = "file", "File of several people"

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
