"""What is wrong with an audience: every fault at once, each at its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AudienceFault:
    """One wrong part: where (`audience.all[1].subject_id`), a stable code, what to do about it."""

    path: str
    code: str
    detail: str


class AudienceError(ValueError):
    """An audience or its criteria cannot be understood, or name what does not exist."""

    def __init__(self, faults: Sequence[AudienceFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.path}: {fault.detail}" for fault in faults))
