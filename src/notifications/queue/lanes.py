"""The rotation of lanes: the order in which a worker looks for work in them."""

from __future__ import annotations

from collections.abc import Sequence

from notifications.domain.channels import Lane

_FIRST_BY_TURN = {2: Lane.HIGH, 4: Lane.DEFAULT, 6: Lane.HIGH, 0: Lane.BULK}
_CYCLE = 8


class LaneRotation:
    """Orders lanes by priority, with a share of the turns for each.

    Of eight turns, two begin with high, one with default and one with bulk, also before critical.
    Otherwise a stream of critical messages would use every turn, however slow the database is.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = [lane for lane in Lane if lane in lanes]
        self._turn = 0

    def order(self) -> list[Lane]:
        """Returns the lanes for the next turn, in order. The first that has work gets the turn."""
        self._turn += 1
        first = _FIRST_BY_TURN.get(self._turn % _CYCLE)
        if first not in self._lanes:
            return list(self._lanes)
        return [first, *(lane for lane in self._lanes if lane is not first)]
