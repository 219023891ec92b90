"""Writes the row of the audit log that belongs to one record."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from notifications.models.audit.entries import write_slice
from notifications.recording.outcomes import Outcome


def write_decisions(outcomes: Sequence[Outcome], took: Collection[int]) -> None:
    """Writes one row, by which the decision on each changed message can be proved.

    It has a hash of what this pass appends to the trail of each message.
    """
    decisions = [(o.message.id, o.trail) for o in outcomes if o.message.id in took]
    if decisions:
        write_slice(decisions, at=max(outcome.at for outcome in outcomes))
