"""Values of the queue: what is waiting, and what a worker holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from notifications.models import unpack_keys


class NewBatch(NamedTuple):
    """A batch to be written. A due_at of None means now, in the database's own time."""

    lane: str
    channel: str
    source: str
    due_at: datetime | None
    keys: Sequence[int]
    takeovers: int = 0
    isolated: bool = False


@dataclass(slots=True, eq=False)
class Lease:
    """A batch in one worker's hands. The fence tells this lease from any later one.

    journal holds the keys that a provider may be busy with; `open_keys` those not yet recorded.
    """

    batch_id: int
    lane: str
    channel: str
    source: str
    fence: int
    members: str
    size: int
    takeovers: int
    isolated: bool
    journal: set[int] = field(default_factory=set)
    open_keys: set[int] = field(default_factory=set)
    lost: bool = False
    stale: bool = False  # some members were settled by somebody else
    leased_at: float = 0.0  # monotonic, from before the database was asked
    unrecorded: int = 0  # outcomes that wait for their record

    @property
    def careful(self) -> bool:
        """Two workers died on it: one message at a time, journalled before it is touched."""
        return self.takeovers >= 2 or self.isolated

    def __post_init__(self) -> None:
        self.open_keys = set(unpack_keys(self.members))


class LeaseRequest(NamedTuple):
    """What a worker asks for: batches of one lane, in the turn of their sources."""

    owner: str
    lane: str
    sources: Sequence[str]
    seconds: float
    budget: int = 500
    most: int = 200
    without_channels: Sequence[str] = ()
    isolated: bool = False


class QueueSQL(Protocol):
    """What both databases can do. `at` replaces the database's clock where tests freeze it."""

    def insert_batches(self, batches: Sequence[NewBatch], at: datetime | None) -> list[int]:
        """Writes batches; returns their ids in order."""

    def sources(self, lanes: Sequence[str]) -> list[tuple[str, str]]:
        """Lanes with each source that has batches there, due or not; a lane's sources in order."""

    def lease(self, request: LeaseRequest, at: datetime | None) -> list[Lease]:
        """Takes due batches; nobody else gets them until the lease runs out."""

    def hold(self, leases: Sequence[Lease], owner: str, at: datetime | None) -> set[int]:
        """Locks the rows of batches whose lease still stands; returns their ids."""

    def write_journals(self, journals: Mapping[int, str]) -> None:
        """Sets the journals of batches that `hold` has locked."""

    def delete(self, batch_ids: Sequence[int]) -> None:
        """Deletes finished batches that `hold` has locked."""

    def renew(
        self, leases: Sequence[Lease], owner: str, seconds: float, at: datetime | None
    ) -> set[int]:
        """Extends leases; returns the ids that were still ours."""

    def release(self, leases: Sequence[Lease], owner: str, due_at: datetime | None) -> None:
        """Gives batches back, due again at due_at (None: as they were)."""

    def expired(self, owner: str, at: datetime | None, limit: int) -> list[int]:
        """Ids of this owner's batches whose lease ran out; of any owner's when it is empty."""

    def claim_expired(
        self, batch_id: int, at: datetime | None
    ) -> tuple[str, str, str, str, str, int] | None:
        """Locks a batch whose lease ran out: lane, channel, source, members, journal, takeovers.

        None when it is gone, alive again, or in another sweeper's hands.
        """

    def reset(self, batch_id: int, takeovers: int) -> None:
        """Makes a claimed batch free again under a higher fence, with an empty journal."""

    def expire_owner(self, owner: str) -> None:
        """Ends the leases of a worker that is known to be dead."""

    def lock_batch(self, batch_id: int) -> None:
        """Locks a batch's row (rule 7: cancel and journal lock the same row first)."""
