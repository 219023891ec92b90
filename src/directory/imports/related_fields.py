"""Reads the fields of a person's record that are not columns of the person.

`contact_points` maps kinds to addresses. email, phone and telegram are the same as the columns
email, phone_number and telegram_id; webhook and chat have no column. `groups` is the whole list of
a person's groups, by name or UUID; an unknown name creates a group. `devices` are added to the
known devices. In CSV, semicolons separate groups.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from directory.addresses import AddressFault, read_url
from directory.models.contact import Device

MAX_GROUPS = 100
MAX_DEVICES = 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_COLUMN_OF_KIND = {"email": "email", "phone": "phone_number", "telegram": "telegram_id"}
URL_KINDS = ("webhook", "chat")
_DEVICE_FIELDS = {"token", "kind", "platform", "keys"}
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """A device in a record."""

    token: str
    kind: str
    platform: str
    keys: dict[str, str]


def flattened(record: dict[str, Any], wrong: list[tuple[str, str]]) -> dict[str, Any]:
    """Moves the contact points that are columns to these columns; adds faults to `wrong`."""
    points = record.get("contact_points")
    if not isinstance(points, dict):
        return record
    flat = {name: value for name, value in record.items() if name != "contact_points"}
    rest = {}
    for kind, address in points.items():
        column = _COLUMN_OF_KIND.get(kind)
        if column is None:
            rest[kind] = address
        elif flat.get(column) not in (None, address):
            wrong.append((column, f"differs from contact_points.{kind}"))
        else:
            flat[column] = address
    return {**flat, "contact_points": rest} if rest else flat


def read_contact_points(value: Any) -> dict[str, str]:
    """Reads addresses of the kinds without a column; an empty one removes the contact point."""
    if not isinstance(value, dict):
        raise ValueError("must be an object of kinds and addresses")
    found = {}
    for kind, address in value.items():
        if kind not in URL_KINDS:
            known = ", ".join((*_COLUMN_OF_KIND, *URL_KINDS))
            raise ValueError(f"has a kind that is not known; known: {known}")
        if address is not None and not isinstance(address, str):
            raise ValueError(f"of the kind {kind} must be a text")
        text = (address or "").strip()
        try:
            found[kind] = read_url(text) if text else ""
        except AddressFault as fault:
            raise ValueError(f"of the kind {kind} {fault}") from fault
    return found


def read_groups(value: Any) -> tuple[str | UUID, ...]:
    """Reads the names and UUIDs of groups, each once."""
    if isinstance(value, str):
        value = [part for part in (part.strip() for part in value.split(";")) if part]
    if not isinstance(value, list) or len(value) > MAX_GROUPS:
        raise ValueError(f"must be a list of at most {MAX_GROUPS} names or UUIDs")
    return tuple(dict.fromkeys(_group(each) for each in value))


def _group(value: Any) -> str | UUID:
    if not isinstance(value, str):
        raise ValueError("must hold names or UUIDs")
    text = value.strip()
    if not text or len(text) > 200 or _CONTROL.search(text):
        raise ValueError("must hold names of 1 to 200 characters")
    return UUID(text) if _UUID.fullmatch(text) else text


def read_devices(value: Any) -> tuple[DeviceEntry, ...]:
    """Reads the devices of a person, each token once."""
    if not isinstance(value, list) or len(value) > MAX_DEVICES:
        raise ValueError(f"must be a list of at most {MAX_DEVICES} devices")
    return tuple({entry.token: entry for entry in map(read_device, value)}.values())


def read_device(value: Any) -> DeviceEntry:
    """Reads one device.

    Raises:
        ValueError: the device is wrong; the text says why.
    """
    if not isinstance(value, dict) or not value.keys() <= _DEVICE_FIELDS:
        raise ValueError("must hold objects with token, kind, platform and keys")
    token, kind = value.get("token"), value.get("kind", Device.Kind.FCM.value)
    platform, keys = value.get("platform", ""), value.get("keys", {})
    if not isinstance(token, str) or not 1 <= len(token) <= 1000 or _CONTROL.search(token):
        raise ValueError("need a token of 1 to 1,000 characters")
    if kind not in Device.Kind.values:
        raise ValueError(f"have a kind of {', '.join(Device.Kind.values)}")
    if not isinstance(platform, str) or len(platform) > 20 or _CONTROL.search(platform):
        raise ValueError("have a platform of at most 20 characters")
    return DeviceEntry(token, str(kind), platform, _keys(kind, keys))


def _keys(kind: str, keys: Any) -> dict[str, str]:
    """Reads the browser's keys of a Web Push subscription (RFC 8291); other kinds have none."""
    if kind != Device.Kind.WEBPUSH:
        if keys:
            raise ValueError("have keys only where the kind is webpush")
        return {}
    wanted = {"p256dh", "auth"}
    if not isinstance(keys, dict) or set(keys) != wanted:
        raise ValueError("of the kind webpush need keys: p256dh and auth")
    if not all(isinstance(v, str) and re.fullmatch(r"[\w=-]{16,120}", v) for v in keys.values()):
        raise ValueError("of the kind webpush have keys in URL-safe base64")
    return dict(keys)
