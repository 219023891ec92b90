"""Reads a message's extras: data, a link, an image, an icon, a sound and a badge."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from notifications.domain.channels import Channel
from notifications.domain.messages import MAX_PUSH_EXTRAS_BYTES, push_weight
from notifications.intake.fields import Fields

MAX_DATA_BYTES = 4_096
MAX_BADGE = 99_999
LONGEST_URL = 2_000
_RESERVED = re.compile(r"from|message_type|(google|gcm).*")
"""Names that FCM reserves."""
_SOUND = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_URLS = {"link": ("url", ("http", "https")), "image": ("image", ("https",))}
_URLS |= {"icon": ("icon", ("https",))}
FIELDS = ("data", *_URLS, "sound", "badge")


def read_extras(fields: Fields, channels: Iterable[str]) -> dict[str, Any]:
    """Returns the extras as one mapping that every channel reads; empty where there are none.

    channels: those of the whole request. An error is added at its field.
    """
    if fields.body.keys().isdisjoint(FIELDS):
        return {}
    found = dict(_data(fields))
    for name, (key, schemes) in _URLS.items():
        if (url := _url(fields, name, schemes)) is not None:
            found[key] = url
    if (sound := fields.text("sound", longest=100)) is not None:
        if not _SOUND.fullmatch(sound):
            fields.add_error(
                "sound", "invalid", "must be a file's name such as chime.caf, or default"
            )
        found["sound"] = sound
    if (badge := fields.body.get("badge")) is not None:
        if isinstance(badge, bool) or not isinstance(badge, int) or not 0 <= badge <= MAX_BADGE:
            fields.add_error("badge", "invalid", f"must be a whole number from 0 to {MAX_BADGE:,}")
        found["badge"] = badge
    if not fields.errors and extras_too_large(found, channels):
        detail = f"with link, image and sound may weigh {MAX_PUSH_EXTRAS_BYTES:,} bytes in a push"
        fields.add_error("data", "too_large", detail)
    return found


def extras_too_large(extras: dict[str, Any], channels: Iterable[str]) -> bool:
    """Returns whether the extras leave no space for the text of a push."""
    return bool(extras) and Channel.PUSH in channels and push_weight(extras) > MAX_PUSH_EXTRAS_BYTES


def _data(fields: Fields) -> dict[str, Any]:
    data = fields.mapping("data")
    if not data or not fields.check_json("data", data):
        return {}
    if len(json.dumps(data, ensure_ascii=False).encode()) > MAX_DATA_BYTES:
        fields.add_error("data", "too_large", f"must be under {MAX_DATA_BYTES:,} bytes of JSON")
    elif wrong := next((name for name in data if _RESERVED.fullmatch(name)), None):
        detail = "is reserved by push services, as are from, message_type, google... and gcm..."
        fields.add_error(f"data.{wrong}", "reserved_data_key", detail)
    return data


def _url(fields: Fields, name: str, schemes: tuple[str, ...]) -> str | None:
    url = fields.text(name, longest=LONGEST_URL)
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        fields.add_error(name, "invalid_url", f"must be a URL that begins with {schemes[-1]}://")
        return None
    return url
