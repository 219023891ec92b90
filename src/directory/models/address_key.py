"""The data keys of addresses that belong to no user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from django.db import models

from directory.addresses import normalise_address
from directory.models.contact import ContactKind
from vault.cells import Key
from vault.indexes import blind_index
from vault.models import DataKey
from vault.store import create_keys, load_data_keys

Addresses = Mapping[str, str]
"""The addresses of one send, by kind: `email`, `phone`, `telegram`."""


class AddressKeyManager(models.Manager["AddressKey"]):
    """Finds the data keys of addresses, and creates them."""

    def for_sends(self, sends: Sequence[Addresses]) -> list[Key | None]:
        """Returns the key of each send without a user: that of the first address it names.

        An address without a key gets one. None where the key was erased.
        """
        indexes = [[address_index(kind, text) for kind, text in each.items()] for each in sends]
        kinds = {
            index: kind
            for each, own in zip(sends, indexes, strict=True)
            for kind, index in zip(each, own, strict=True)
        }
        firsts = list(dict.fromkeys(own[0] for own in indexes))
        stored = self._stored(firsts)
        without = [index for index in firsts if index not in stored]
        if without:
            made = create_keys(len(without), DataKey.Kind.ADDRESS)
            self._link(zip(without, (key.id for key in made), strict=True), kinds)
            stored |= self._stored(without)
        further = [(other, stored[own[0]]) for own in indexes for other in own[1:]]
        if further:
            self._link(further, kinds)
        loaded = load_data_keys(stored.values())
        return [loaded.get(stored[own[0]]) for own in indexes]

    def existing(self, send: Addresses) -> int | None:
        """Returns the id of the key of the first address that a send names; None without one."""
        index = next(address_index(kind, text) for kind, text in send.items())
        return self._stored([index]).get(index)

    def _stored(self, indexes: Iterable[str]) -> dict[str, int]:
        rows = self.filter(index__in=list(indexes)).order_by("-key_id")
        return dict(rows.values_list("index", "key_id"))  # the first key of an address wins

    def _link(self, pairs: Iterable[tuple[str, int]], kinds: Mapping[str, str]) -> None:
        rows = [AddressKey(kind=kinds[index], index=index, key_id=key) for index, key in pairs]
        self.bulk_create(rows, ignore_conflicts=True)


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

    objects: ClassVar[AddressKeyManager] = AddressKeyManager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["index", "key_id"], name="address_key_once")]

    def __str__(self) -> str:
        return f"key of {self.kind} address {self.pk}"


def address_index(kind: str, given: str) -> str:
    """Returns the blind index of an address, of its kind and normal form."""
    return blind_index(f"{kind}:{normalise_address(kind, given)}")
