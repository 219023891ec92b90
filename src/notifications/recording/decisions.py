"""Writes the rows that prove and count one record: of the audit log, and of the metrics."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from notifications.models.analytics.delta import Changes, delta_rows
from notifications.models.audit.entries import write_slice
from notifications.recording.outcomes import Outcome


def write_decisions(outcomes: Sequence[Outcome], took: Collection[int], changes: Changes) -> None:
    """Writes one row, by which the decision on each changed message can be proved.

    It has a hash of what this pass appends to the trail of each message. `changes` of the counts
    are written with it.
    """
    decisions = [(o.message.id, o.trail) for o in outcomes if o.message.id in took]
    if decisions:
        at = max(outcome.at for outcome in outcomes)
        write_slice(decisions, at=at, deltas=delta_rows(changes))
