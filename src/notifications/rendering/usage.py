"""Counts the use of templates: in memory per message, in the database every few seconds.

If every message updated a row, all workers would wait for one another. A killed worker loses the
counts of its last seconds, which is acceptable: they are statistics, not the journal.
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime

from notifications.models.content.template_usage import TemplateUsage, UsageKey
from notifications.rendering.render import CompiledVersion

_counts: Counter[UsageKey] = Counter()
_lock = threading.Lock()


def count_uses(
    version: CompiledVersion, count: int, *, channel: str, locale: str, at: datetime
) -> None:
    """Counts messages. locale is the readers'; the counted locale is that of the text."""
    shown_in = version.text_locale(channel, locale)
    key = UsageKey(version.version_id, channel, shown_in, at.date())
    with _lock:
        _counts[key] += count


def write_usage() -> int:
    """Writes the counts since the last call; returns the number of messages.

    Counts that cannot be written remain for the next call.
    """
    with _lock:
        counted = dict(_counts)
        _counts.clear()
    if not counted:
        return 0
    try:
        TemplateUsage.objects.add(counted)
    except BaseException:
        with _lock:
            _counts.update(counted)
        raise
    return sum(counted.values())


def forget_usage() -> None:
    """Drops all counts. For tests: a rolled-back database issues the same keys again."""
    with _lock:
        _counts.clear()
