"""Finds the devices for a push: those that can be reached and have not settled the message."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from notifications.domain.messages import Target, Verdict
from notifications.domain.weights import read_weights, weighted_order
from notifications.infra.conf import environment, push_carriers
from notifications.models.delivery.hot_facts import DeviceRow, load_attempted, load_devices, unique
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.decide import Contact
from notifications.policy.options import RETRACTS, options_of, retracting_devices
from vault.cells import Key

_BROWSERS = {"webpush": "webpush"}
_SETTLED = frozenset({Verdict.SENT, Verdict.DELIVERED, Verdict.FAILED})


def load_push_contacts(
    messages: Sequence[PendingMessage], stopped_providers: Iterable[str], keys: Mapping[int, Key]
) -> dict[int, Contact]:
    """Returns a contact for each message whose person has a device.

    Devices whose provider is stopped are left out while others remain. keys: the people's data
    keys, by user.
    """
    vendors = {message.id: _vendor_of(message) for message in messages}
    carriers = {vendor: push_carriers(vendor) for vendor in set(vendors.values())}
    devices: dict[int, list[DeviceRow]] = defaultdict(list)
    for row in load_devices(unique(message.user_id for message in messages), keys):
        devices[row.user_id].append(row)
    tried: dict[int, dict[int, str]] = defaultdict(dict)
    for message_id, device_id, verdict in load_attempted([m.id for m in messages if m.attempts]):
        tried[message_id][device_id] = _better(tried[message_id].get(device_id), verdict)
    stopped = frozenset(stopped_providers)
    found = {}
    for message in messages:
        own = devices.get(message.user_id or 0, [])
        by_kind = carriers[vendors[message.id]]
        options = options_of(message.options) if message.options else {}
        if RETRACTS in options:
            wanted = retracting_devices(options)
            own = [row for row in own if row.id in wanted]
            if vendors[message.id] != "sandbox":
                # An app would show an empty push: only a service worker knows how to take one back.
                by_kind = _BROWSERS
        contact = _contact(own, tried.get(message.id, {}), by_kind, stopped)
        if contact is not None:
            found[message.id] = contact
    return found


def _vendor_of(message: PendingMessage) -> str:
    """Returns the vendor of the setting that a message goes to: by weight.

    A retry stays with it: the token of a device belongs to one vendor, and the sandbox must not
    report a push as sent that a vendor failed to deliver.
    """
    text = environment().push_provider
    if "," not in text:
        return next(iter(read_weights(text)))
    order = weighted_order(text, message.id)
    options = options_of(message.options) if message.options else {}
    wanted = message.provider or options.get("provider")
    return wanted if wanted in order else order[0]


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
    open_ = [row for row in own if row.kind in carriers and tried.get(row.id) not in _SETTLED]
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
