"""How a notification names its place in a test: the value of its column `variant`.

`7:B` is variant B of test 7, and the only form that counts as an exposure. Other forms have a note,
e.g. `7:B/uncounted` or `7:/held_out`. So counts by variant tell tests and places apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

VARIANT_NAME = r"[A-Za-z0-9_-]{1,20}"
"""The form of a variant's name."""
_LABEL = re.compile(rf"([0-9]{{1,19}}):({VARIANT_NAME})?(?:/([a-z_]{{1,9}}))?")


class PlaceNote(StrEnum):
    """Why a notification has its text, where it is no exposure."""

    COUNTED = ""  # the first one of its person in the test
    UNCOUNTED = "uncounted"  # a later one of the same person, a test key's, or of another channel
    OUTSIDE = "outside"  # not in the share of traffic, or a variant cannot show it
    HELD_OUT = "held_out"  # the person gets nothing
    PAUSED = "paused"  # everybody gets control
    ENDED = "ended"  # everybody gets the winner, or control without one


@dataclass(frozen=True, slots=True)
class ExperimentPlace:
    """The place of a notification in a test. variant: empty where the usual template counts."""

    test_id: int
    variant: str = ""
    note: PlaceNote = PlaceNote.COUNTED

    @property
    def label(self) -> str:
        """The text that is stored, of at most 50 characters."""
        note = f"/{self.note}" if self.note else ""
        return f"{self.test_id}:{self.variant}{note}"


def place_of(label: str | None) -> ExperimentPlace | None:
    """Returns the place that a label names; None for no label, or one that is no place."""
    found = _LABEL.fullmatch(label or "")
    if found is None or (found[3] or "") not in set(PlaceNote):
        return None
    return ExperimentPlace(int(found[1]), found[2] or "", PlaceNote(found[3] or ""))


_HELD_OUT = f"/{PlaceNote.HELD_OUT}"


def is_held_out(label: str | None) -> bool:
    """Returns whether a label says that its person gets nothing."""
    return label is not None and label.endswith(_HELD_OUT)
