"""Counts of hand-overs and engagement by period and hour of the week. Pure.

All are sums of whole numbers, so they are the same in whatever order changes come. One may be below
zero for a moment, where a change comes before the one that it takes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from notifications.domain.engagement import CLICK_HUMAN, OPEN_HUMAN


class HourCounts(NamedTuple):
    """Counts of one hour: messages handed over, clicked by people, and opened or clicked."""

    handed: int = 0
    clicked: int = 0
    engaged: int = 0

    def plus(self, other: HourCounts) -> HourCounts:
        """Returns the sum of both."""
        return HourCounts(
            self.handed + other.handed,
            self.clicked + other.clicked,
            self.engaged + other.engaged,
        )


NONE = HourCounts()
Cell = tuple[int, int]
"""A period, and an hour of the week."""
Cells = dict[Cell, HourCounts]


def add_cells(into: Cells, more: Mapping[Cell, HourCounts]) -> None:
    """Adds counts; cells that become zero go."""
    for cell, counts in more.items():
        found = into.get(cell, NONE).plus(counts)
        if found == NONE:
            into.pop(cell, None)
        else:
            into[cell] = found


def since(cells: Mapping[Cell, HourCounts], period: int) -> Cells:
    """Returns the cells of a period and those after it."""
    return {cell: counts for cell, counts in cells.items() if cell[0] >= period}


def by_hour(cells: Mapping[Cell, HourCounts]) -> dict[int, HourCounts]:
    """Returns the sums over the periods, by hour of the week."""
    found: dict[int, HourCounts] = {}
    for (_, hour), counts in cells.items():
        found[hour] = found.get(hour, NONE).plus(counts)
    return found


def total(hours: Iterable[HourCounts]) -> HourCounts:
    """Returns the sum of counts."""
    found = NONE
    for counts in hours:
        found = found.plus(counts)
    return found


def engagement_change(flags: int, counted: int) -> HourCounts:
    """Returns what a message adds when its bits become `flags` and were counted as `counted`."""
    return HourCounts(
        clicked=_step(flags & CLICK_HUMAN, counted & CLICK_HUMAN),
        engaged=_step(flags & (OPEN_HUMAN | CLICK_HUMAN), counted & (OPEN_HUMAN | CLICK_HUMAN)),
    )


def _step(after: int, before: int) -> int:
    return int(bool(after)) - int(bool(before))
