"""Writes the rows that prove and count one record: in the audit log and for the counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from notifications.domain.lifecycle import REACHED
from notifications.models.analytics.delta import Changes, delta_rows
from notifications.models.audit.entries import write_slice
from notifications.models.learning.hand_over import (
    HandOver,
    LearningDelta,
    is_learning,
    may_engage,
)
from notifications.recording.outcomes import Outcome

_decode = msgspec.json.Decoder(dict).decode


def write_decisions(outcomes: Sequence[Outcome], took: Collection[int], changes: Changes) -> None:
    """Writes one row, by which the decision on each changed message can be proved.

    It has a hash of what this pass appends to the trail of each message. `changes` of the counts
    are written with it.
    """
    decisions = [(o.message.id, o.trail) for o in outcomes if o.message.id in took]
    if decisions:
        at = max(outcome.at for outcome in outcomes)
        write_slice(decisions, at=at, deltas=delta_rows(changes))


def write_hand_overs(outcomes: Iterable[Outcome], took: Collection[int]) -> None:
    """Writes one row for the messages that were sent, if the service learns; else nothing."""
    if not is_learning():
        return
    LearningDelta.objects.append(
        (hand_over, 1)
        for outcome in outcomes
        if outcome.message.id in took and (hand_over := _hand_over(outcome)) is not None
    )


def _hand_over(outcome: Outcome) -> HandOver | None:
    message = outcome.message
    if outcome.status not in REACHED or message.user_id is None:
        return None
    seen = may_engage(
        message.channel,
        priority=message.priority,
        is_test=message.is_test,
        template_version_id=message.template_version_id,
        options=_decode(message.options) if message.options else None,
    )
    if not seen:
        return None
    return HandOver(
        message.user_id, message.channel, int(outcome.at.timestamp()), message.category_id
    )
