"""What was learned for the recipients of a broadcast: the order of channels, and their labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from notifications.domain.learning.labels import learning_label
from notifications.features.learning.stored import StoredChoice, read_choice
from notifications.intake.accept import AssignedVariant
from notifications.models import Broadcast
from notifications.models.sources.recipients import Unreported


@dataclass(frozen=True, slots=True)
class ChannelOrder:
    """The channels of some recipients, and those that follow when one does not take a message."""

    channels: tuple[str, ...]
    fallback: tuple[str, ...] = ()

    def options(self, shared: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the options of their messages."""
        found = dict(shared)
        if self.fallback:
            found["fallback"] = list(self.fallback)
        return found


def by_order(
    waiting: Sequence[Unreported], channels: tuple[str, ...], shared: Mapping[str, Any]
) -> dict[ChannelOrder, list[int]]:
    """Returns recipients by the order of their channels. shared: the options of the broadcast."""
    usual = ChannelOrder(channels, tuple(shared.get("fallback", ())))
    found: dict[ChannelOrder, list[int]] = defaultdict(list)
    for each in waiting:
        chosen = _read(each).channels
        order = ChannelOrder(chosen.channels[:1], chosen.channels[1:]) if chosen else usual
        found[order].append(each.person)
    return found


def placed_by_choice(
    broadcast: Broadcast, waiting: Sequence[Unreported]
) -> dict[int, AssignedVariant | None] | None:
    """Returns the labels of recipients whose choice was learned; None where nothing is learned.

    Such a broadcast is part of no A/B test of its template: a message has one label.
    """
    if all(each.choice is None for each in waiting):
        return None
    subject = str(broadcast.campaign_id)
    found: dict[int, AssignedVariant | None] = {}
    for each in waiting:
        choice = _read(each)
        label = learning_label(
            subject,
            choice.time.place if choice.time else None,
            choice.channels.place if choice.channels else None,
        )
        found[each.person] = AssignedVariant(None, label) if label else None
    return found


def _read(each: Unreported) -> StoredChoice:
    return read_choice(each.choice) if each.choice else StoredChoice()
