"""The faults of an audience. They are reported all at once, each with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AudienceFault:
    """One wrong part of an audience."""

    #: The place of the part: `audience.all[1].subject_id`.
    path: str
    #: A stable code.
    code: str
    #: What to do about it.
    detail: str


class AudienceError(ValueError):
    """An audience or its criteria cannot be read, or they name something that does not exist."""

    def __init__(self, faults: Sequence[AudienceFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.path}: {fault.detail}" for fault in faults))
