"""Whose rows a page has: the data keys, and what error texts must not say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from directory.keys import load_keys_of_people
from directory.models import AddressKey, User
from notifications.domain.channels import KIND_OF_ADDRESS
from notifications.domain.redaction import Known
from notifications.infra.crypto import unseal_json
from vault.cells import FORMAT, Key, KeyErased, SealBroken, key_id_of
from vault.store import load_data_keys

log = structlog.get_logger("carillon.sealing")


class Owner(NamedTuple):
    """The person or the address of a row; both are None for a row whose message is gone."""

    user_id: int | None
    #: The sealed addresses of a send to no user.
    address: bytes | None


class Owners:
    """The owners of a page of rows, with their keys."""

    def __init__(self, owners: Iterable[Owner]) -> None:
        """Loads the keys. A person of an older release gets one, and so does an address."""
        seen = set(owners)
        self._people = load_keys_of_people(each.user_id for each in seen if each.user_id)
        self._addresses, self._unreadable = _keys_of_addresses(
            {each.address for each in seen if each.user_id is None and each.address}
        )

    def is_unknown(self, owner: Owner) -> bool:
        """Whether nothing tells the owner: an old cell with the address cannot be read."""
        return owner.user_id is None and owner.address in self._unreadable

    def key_of(self, owner: Owner) -> Key | None:
        """Returns the key of an owner; None where the person is deleted, or the key erased."""
        if owner.user_id is not None:
            return self._people.get(owner.user_id)
        return self._addresses.get(owner.address) if owner.address else None

    def known_of(self, owners: Iterable[Owner]) -> dict[Owner, Known]:
        """Returns what is known of owners whose rows have an error text."""
        wanted = set(owners)
        ids = {each.user_id for each in wanted if each.user_id is not None}
        people = {user.pk: user for user in User.objects.filter(pk__in=ids)}
        return {each: self._known(each, people) for each in wanted}

    def _known(self, owner: Owner, people: Mapping[int, User]) -> Known:
        user = people.get(owner.user_id or 0)
        if user is not None:
            names = [user.username, user.email, user.first_name, user.last_name]
            return Known([user.phone_number, user.telegram_id], (), names)
        return Known([str(each) for each in _opened(owner.address).values()])


def _opened(sealed: bytes | None) -> dict[str, object]:
    try:
        return unseal_json(sealed)
    except KeyErased:
        return {}
    except SealBroken:
        log.error("sealing.unreadable_address")
        return {}


def _keys_of_addresses(cells: set[bytes]) -> tuple[dict[bytes, Key], set[bytes]]:
    """Returns the keys of sealed addresses, and the old cells that cannot be read.

    Addresses that an older release sealed get new keys.
    """
    ids = {cell: key_id_of(cell) for cell in cells if cell[:1] == FORMAT}
    loaded = load_data_keys(ids.values())
    found = {cell: loaded[key] for cell, key in ids.items() if key in loaded}
    old: Sequence[bytes] = sorted(cell for cell in cells if cell[:1] != FORMAT)
    sends = {cell: send for cell in old if (send := _send_of(cell))}
    made = AddressKey.objects.for_sends(list(sends.values())) if sends else []
    found |= {cell: key for cell, key in zip(sends, made, strict=True) if key is not None}
    return found, set(old).difference(sends)


def _send_of(cell: bytes) -> dict[str, str]:
    """Returns the addresses in an old cell, by their kind; none where it cannot be read."""
    texts = _opened(cell)
    return {KIND_OF_ADDRESS[name]: str(text) for name, text in texts.items()}
