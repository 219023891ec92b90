"""Limits: at most so many messages to one person in a sliding window. Pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

MOST = 1000
LONGEST_S = 400 * 86_400


class Limit(NamedTuple):
    """At most `most` messages to one person under `scope` within window_s seconds.

    channel is empty when all channels count together. reason is stored with a message over it.
    """

    scope: str
    channel: str
    window_s: int
    most: int
    reason: str


class Entry(NamedTuple):
    """One message that was sent, and when (Unix ms)."""

    at_ms: int
    message_id: int


def unpack_entries(text: str) -> list[Entry]:
    """Reads the stored form: "ms:message ms:message"."""
    return [Entry(*map(int, part.split(":"))) for part in text.split()]


def pack_entries(entries: Iterable[Entry]) -> str:
    return " ".join(f"{entry.at_ms}:{entry.message_id}" for entry in entries)


def recent(entries: Iterable[Entry], limit: Limit, now_ms: int) -> list[Entry]:
    """Returns the entries that still count."""
    since = now_ms - limit.window_s * 1000
    return [entry for entry in entries if entry.at_ms > since]


def is_spent(entries: Iterable[Entry], limit: Limit, *, now_ms: int, message_id: int) -> bool:
    """Returns whether a message would exceed the limit. A message that was counted never does."""
    still = recent(entries, limit, now_ms)
    return len(still) >= limit.most and all(entry.message_id != message_id for entry in still)


@functools.lru_cache(maxsize=256)
def caps_of(category: str, caps: str) -> tuple[Limit, ...]:
    """Reads frequency caps: [{"limit": 3, "window_s": 86400, "channel": "email"}].

    Without a channel, all channels count together. A value that is no cap limits nothing: rows may
    not have been validated.
    """
    rows = json.loads(caps) if caps else []
    found = (_cap_of(category, row) for row in (rows if isinstance(rows, list) else []))
    return tuple(cap for cap in found if cap is not None)


def _cap_of(category: str, row: Any) -> Limit | None:
    try:
        window_s, most = int(row["window_s"]), int(row["limit"])
        channel = str(row.get("channel", ""))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None
    if window_s <= 0 or most < 0:
        return None
    return Limit(
        f"category:{category}",
        channel,
        min(window_s, LONGEST_S),
        most,
        f"frequency_cap:{category}",
    )


def limits_of_options(
    options: Mapping[str, Any], *, channel: str, collapse_key: str | None
) -> tuple[Limit, ...]:
    """Returns the limits that a sender set: a throttle key, and a dedupe window by collapse key.

    Each channel counts separately: a notification on two channels is no duplicate of itself.
    """
    limits = []
    throttle = options.get("throttle")
    if throttle:
        key, window_s, most = throttle["key"], throttle["window_s"], throttle.get("limit", 1)
        window_s = min(window_s, LONGEST_S)
        limits.append(Limit(f"throttle:{key}", channel, window_s, most, f"throttled:{key}"))
    window_s = options.get("dedupe_s")
    if window_s and collapse_key:
        scope = f"dedupe:{collapse_key}"
        window_s = min(window_s, LONGEST_S)
        limits.append(Limit(scope, channel, window_s, 1, f"duplicate:{collapse_key}"))
    return tuple(limits)
