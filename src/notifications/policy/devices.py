"""Finds the devices for a push: those that can be reached and have not settled the message."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from notifications.domain.messages import Target, Verdict
from notifications.infra.conf import push_carriers
from notifications.models.delivery.hot_facts import DeviceRow, load_attempted, load_devices, unique
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.decide import Contact

_SETTLED = frozenset({Verdict.SENT, Verdict.DELIVERED, Verdict.FAILED})


def load_push_contacts(
    messages: Sequence[PendingMessage], stopped_providers: Iterable[str]
) -> dict[int, Contact]:
    """Returns a contact for each message whose person has a device.

    Devices whose provider is stopped are left out while others remain.
    """
    carriers = push_carriers()
    devices: dict[int, list[DeviceRow]] = defaultdict(list)
    for row in load_devices(unique(message.user_id for message in messages)):
        if row.kind in carriers:
            devices[row.user_id].append(row)
    tried: dict[int, dict[int, str]] = defaultdict(dict)
    for message_id, device_id, verdict in load_attempted([m.id for m in messages if m.attempts]):
        tried[message_id][device_id] = _better(tried[message_id].get(device_id), verdict)
    stopped = frozenset(stopped_providers)
    found = {}
    for message in messages:
        own = devices.get(message.user_id or 0, [])
        contact = _contact(own, tried.get(message.id, {}), carriers, stopped)
        if contact is not None:
            found[message.id] = contact
    return found


def _better(known: str | None, verdict: str) -> str:
    """Returns the better verdict: a device that settled a message stays settled."""
    return known if known in _SETTLED else verdict


def _contact(
    own: Sequence[DeviceRow],
    tried: Mapping[int, str],
    carriers: Mapping[str, str],
    stopped: frozenset[str],
) -> Contact | None:
    reached = any(verdict in (Verdict.SENT, Verdict.DELIVERED) for verdict in tried.values())
    open_ = [row for row in own if tried.get(row.id) not in _SETTLED]
    targets = tuple(Target(row.id, carriers[row.kind], address_of(row)) for row in open_)
    going = tuple(target for target in targets if target.provider not in stopped) or targets
    if not going:
        return Contact("", reached=True) if reached else None
    if going[0].provider == "sandbox":
        return Contact(going[0].recipient)
    return Contact(going[0].recipient, targets=going, reached=reached)


def address_of(row: DeviceRow) -> str:
    """Returns the address of a device for its provider: a token, or a browser's subscription."""
    if row.kind == "webpush":
        return json.dumps({"endpoint": row.token, "keys": row.keys})
    return row.token
