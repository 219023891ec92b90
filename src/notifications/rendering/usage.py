"""Counts what templates are used for: in memory per message, in the database every few seconds.

A row that every message updated would make all workers wait for one another. A worker that is
killed takes the counts of its last seconds along: they are statistics, the journal is elsewhere.
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime

from notifications.models.content.template_usage import TemplateUsage, UsageKey
from notifications.rendering.render import CompiledVersion

_counts: Counter[UsageKey] = Counter()
_lock = threading.Lock()


def count_use(version: CompiledVersion, *, channel: str, locale: str, at: datetime) -> None:
    """Counts one message; locale is the reader's, counted is that of the text they read."""
    shown_in = version.text_locale(channel, locale)
    key = UsageKey(version.version_id, channel, shown_in, at.date())
    with _lock:
        _counts[key] += 1


def write_usage() -> int:
    """Writes what was counted since the last time; answers how many messages.

    What cannot be written stays counted.
    """
    with _lock:
        taken = dict(_counts)
        _counts.clear()
    if not taken:
        return 0
    try:
        TemplateUsage.objects.add(taken)
    except BaseException:
        with _lock:
            _counts.update(taken)
        raise
    return sum(taken.values())


def forget_usage() -> None:
    """Drops what was counted. For tests: a rolled-back database hands out the same keys again."""
    with _lock:
        _counts.clear()
