"""The error codes of a report of failures, from the dead letters of its range."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from notifications.domain.analytics.periods import Span
from notifications.features.analytics.reading import Key, column_time, several
from notifications.features.analytics.rollup import templates_of
from notifications.models.analytics.rollup import stored

MOST_LETTERS = 50_000
"""The dead letters that one report reads: the newest of its range."""
MOST_CODES = 20
"""The codes of one row. The others are counted together."""
OTHER = "other"

# The bound comes first, so that no filter makes the range longer. Letters that are `shown` are open
# or discarded: after any other resolution the message did not fail.
_CODES = """
SELECT letter.channel, letter.provider, letter.template_version_id, letter.code,
       coalesce(NOT note.is_test AND letter.resolution IN ('', 'discarded') {of_source}, FALSE)
           AS shown,
       count(*), min(letter.failed_at)
FROM (SELECT channel, provider, template_version_id, code, resolution, failed_at, notification_id
      FROM notifications_deadletter
      WHERE failed_at >= %s AND failed_at < %s ORDER BY failed_at DESC LIMIT %s) AS letter
LEFT JOIN notifications_notification AS note ON note.id = letter.notification_id
GROUP BY letter.channel, letter.provider, letter.template_version_id, letter.code, shown
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCodes:
    """The numbers of messages by error code."""

    #: By (provider, channel, template), with 0 for no template.
    by_group: Mapping[Key, Mapping[str, int]] = field(default_factory=dict)
    #: From when on they are counted, where the range has more than MOST_LETTERS.
    since: datetime | None = None


def read_failure_codes(span: Span, only: Mapping[str, Any]) -> FailureCodes:
    """Returns the codes of the messages that failed in a range, the most frequent first.

    only: values by channel, template_id and source, which may be a tuple of several.
    """
    rows = _read(span, several(only.get("source", ())) if only.get("source") else ())
    templates = templates_of({row.version for row in rows})
    groups: dict[Key, Counter[str]] = defaultdict(Counter)
    for row in rows:
        template = templates.get(row.version or 0, 0)
        values = {"channel": row.channel, "template_id": template}
        if row.shown and all(only.get(name, value) == value for name, value in values.items()):
            groups[row.provider, row.channel, template][row.code] += row.number
    is_cut = sum(row.number for row in rows) == MOST_LETTERS
    return FailureCodes(
        by_group={key: _shortened(codes) for key, codes in groups.items()},
        since=min(column_time(row.first) for row in rows) if is_cut else None,
    )


class _Letters(NamedTuple):
    """Dead letters that are alike."""

    channel: str
    provider: str
    version: int | None
    code: str
    #: Whether they are counted.
    shown: bool
    number: int
    #: The time of the oldest, as the database has it.
    first: Any


def _read(span: Span, sources: Sequence[str]) -> list[_Letters]:
    marks = ", ".join(["%s"] * len(sources))
    text = _CODES.format(of_source=f"AND note.source IN ({marks})" if sources else "")
    values = [*sources, stored(span.start), stored(span.end), MOST_LETTERS]
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return [_Letters._make(row) for row in cursor.fetchall()]


def _shortened(codes: Counter[str]) -> dict[str, int]:
    ordered = sorted(codes.items(), key=lambda each: (-each[1], each[0]))
    found = dict(ordered[:MOST_CODES])
    if left := sum(number for _, number in ordered[MOST_CODES:]):
        found[OTHER] = found.get(OTHER, 0) + left
    return found
