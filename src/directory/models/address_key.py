"""The data keys of addresses that belong to no user."""

from __future__ import annotations

from django.db import models

from directory.models.contact import ContactKind


class AddressKey(models.Model):
    """A data key that seals messages to an address without a user.

    A send that names several addresses uses the key of the first, and the others point to it too:
    erasing any of them makes the send unreadable.
    """

    kind = models.CharField(max_length=10, choices=ContactKind.choices)
    #: A keyed hash of the kind and the address in its normal form.
    index = models.CharField(max_length=40)
    #: The data key in the key store.
    key_id = models.BigIntegerField(db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["index", "key_id"], name="address_key_once")]

    def __str__(self) -> str:
        return f"key of {self.kind} address {self.pk}"
