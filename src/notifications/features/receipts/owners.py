"""Seals raw receipts under the key of the person or address that they are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from directory.keys import load_keys_of_people
from notifications.infra.crypto import seal_json
from notifications.models import NotificationMessage, ProviderCallback
from notifications.models.fields import EMPTIED, CellHead
from vault.cells import Key, key_id_of_head
from vault.store import load_data_keys

_AT_ONCE = 500


def seal_call(callback: ProviderCallback, messages: Sequence[int | None]) -> None:
    """Seals a raw call as soon as its messages are known; the caller saves the callback.

    A call about one person or address is sealed under their key. A call about several is emptied
    once it has ended, and so is one about no known message: no key of a person fits it. An
    unreadable call stays under the service's key, so that it can be applied again.
    """
    has_ended = callback.next_at is None
    if not has_ended and (None in messages or not messages):
        return
    keys = keys_of_messages([key for key in messages if key is not None])
    if len(keys) == 1 and None not in messages:
        if callback.key_id != keys[0].id:
            callback.call = seal_json(callback.call, keys[0])
            callback.key_id = keys[0].id
    elif has_ended:
        callback.call, callback.key_id = EMPTIED, None


def keys_of_messages(ids: Iterable[int]) -> list[Key]:
    """Returns the data keys of the people and addresses of messages, each once."""
    wanted = sorted(set(ids))
    people: set[int] = set()
    addresses: set[int] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        rows = NotificationMessage.objects.filter(pk__in=wanted[start : start + _AT_ONCE])
        heads = rows.annotate(head=CellHead("notification__address"))
        for user_id, head in heads.values_list("user_id", "head"):
            if user_id is not None:
                people.add(user_id)
            elif (key_id := key_id_of_head(head)) is not None:
                addresses.add(key_id)
    found = load_keys_of_people(people) if people else {}
    return [*found.values(), *load_data_keys(addresses).values()]
