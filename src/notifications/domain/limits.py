"""How often somebody may be told something: at most so many messages in a sliding window. Pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

MOST = 1000
LONGEST_S = 400 * 86_400


class Limit(NamedTuple):
    """At most `most` messages to one person under `scope` within window_s seconds.

    channel is empty when all channels count together. reason is that of the message too many.
    """

    scope: str
    channel: str
    window_s: int
    most: int
    reason: str


class Entry(NamedTuple):
    """One message that was handed over, and when (Unix ms)."""

    at_ms: int
    message_id: int


def unpack_entries(text: str) -> list[Entry]:
    """From the stored form: "ms:message ms:message"."""
    return [Entry(*map(int, part.split(":"))) for part in text.split()]


def pack_entries(entries: Iterable[Entry]) -> str:
    return " ".join(f"{entry.at_ms}:{entry.message_id}" for entry in entries)


def recent(entries: Iterable[Entry], limit: Limit, now_ms: int) -> list[Entry]:
    """The entries that still count."""
    since = now_ms - limit.window_s * 1000
    return [entry for entry in entries if entry.at_ms > since]


def is_spent(entries: Iterable[Entry], limit: Limit, *, now_ms: int, message_id: int) -> bool:
    """Whether this message would be one too many. One that was counted already never is."""
    still = recent(entries, limit, now_ms)
    return len(still) >= limit.most and all(entry.message_id != message_id for entry in still)


@functools.lru_cache(maxsize=256)
def caps_of(category: str, caps: str) -> tuple[Limit, ...]:
    """A category's frequency caps from their JSON: [{"limit": 3, "window_s": 86400,
    "channel": "email"}]; without a channel all count together."""
    rows: list[Mapping[str, Any]] = json.loads(caps) if caps else []
    return tuple(
        Limit(
            f"category:{category}",
            str(row.get("channel", "")),
            int(row["window_s"]),
            int(row["limit"]),
            f"frequency_cap:{category}",
        )
        for row in rows
    )


def limits_of_options(
    options: Mapping[str, Any], *, channel: str, collapse_key: str | None
) -> tuple[Limit, ...]:
    """The limits that a sender set: a throttle key, and a dedupe window by collapse key.

    They count a channel at a time: a notification on two channels is no duplicate of itself.
    """
    limits = []
    throttle = options.get("throttle")
    if throttle:
        key, window_s, most = throttle["key"], throttle["window_s"], throttle.get("limit", 1)
        limits.append(Limit(f"throttle:{key}", channel, window_s, most, f"throttled:{key}"))
    window_s = options.get("dedupe_s")
    if window_s and collapse_key:
        scope = f"dedupe:{collapse_key}"
        limits.append(Limit(scope, channel, window_s, 1, f"duplicate:{collapse_key}"))
    return tuple(limits)
