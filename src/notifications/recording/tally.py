"""Counts the messages that one record changes: for the process's metrics and for the rollups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from notifications.domain.analytics.counts import Cohort, names_of
from notifications.domain.engagement import quarter_of
from notifications.domain.lifecycle import REACHED
from notifications.models.analytics.delta import Changes, Counts
from notifications.recording.outcomes import Outcome

_Group = tuple[str, int | None, str, str, str | None, str, bool, datetime]


class Tally:
    """How many messages of a slice took which status, by what they are grouped by.

    Most messages of a slice are alike, so one pass makes a few groups of them.

    Args:
        outcomes: what was recorded.
        took: the keys of the messages that changed. No other message counts.
        provider: returns the provider that the row of an outcome gets; None keeps the stored one.
    """

    def __init__(
        self,
        outcomes: Iterable[Outcome],
        took: Collection[int],
        provider: Callable[[Outcome], str | None],
    ) -> None:
        self._groups: dict[_Group, int] = defaultdict(int)
        quarters: dict[datetime, datetime] = {}
        for outcome in outcomes:
            message, at = outcome.message, outcome.at
            if message.id not in took:
                continue
            quarter = quarters.get(at)
            if quarter is None:
                quarter = quarters[at] = quarter_of(at)
            group = (
                message.channel,
                message.template_version_id,
                provider(outcome) or message.provider or "",
                message.source,
                message.variant,
                outcome.status,
                message.is_test,
                quarter,
            )
            self._groups[group] += 1

    def by_status(self) -> dict[tuple[str, int | None, str], int]:
        """Returns the numbers by (channel, template version, status), with tests."""
        found: dict[tuple[str, int | None, str], int] = defaultdict(int)
        for (channel, version, _, _, _, status, _, _), number in self._groups.items():
            found[channel, version, status] += number
        return found

    def changes(self) -> Changes:
        """Returns the changes of the counts, without tests. Messages that wait count nothing.

        Every message was pending before, so nothing is taken away.
        """
        found: Changes = {}
        for group, number in self._groups.items():
            channel, version, provider, source, variant, status, is_test, quarter = group
            names = names_of(status, was_sent=status in REACHED)
            if is_test or not names:
                continue
            cohort = Cohort(channel, version, provider, source, variant or "")
            counts: Counts = found.setdefault(quarter, {}).setdefault(cohort, {})
            for name in names:
                counts[name] = counts.get(name, 0) + number
        return found
