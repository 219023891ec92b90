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
    #: The earliest time at which a member expires; None where none does.
    expires_at: datetime | None = None


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
    #: Another took the batch over: nothing of it may be journalled or recorded here any more.
    lost: bool = False
    #: It is left to run out: what its journal names is in doubt, and a takeover decides.
    abandoned: bool = False
    #: Some members were settled by another process.
    stale: bool = False
    #: Monotonic time from before the lease or its last renewal was asked for.
    renewed_at: float = 0.0
    #: Outcomes that wait for their record.
    unrecorded: int = 0

    @property
    def careful(self) -> bool:
        """One message, journalled before it is touched: its worker died on it."""
        return self.isolated

    def __post_init__(self) -> None:
        self.open_keys = set(unpack_keys(self.members))


class LockedBatches(NamedTuple):
    """Which of some leases are still ours, by batch id.

    living: locked, and the lease has not run out. lapsed: locked, the lease has run out but nobody
    took it over. busy: ours, but another transaction has the row locked at this moment.
    """

    living: frozenset[int]
    lapsed: frozenset[int]
    busy: frozenset[int]

    @property
    def locked(self) -> frozenset[int]:
        """Those that the caller's transaction has locked: what is recorded in it is true."""
        return self.living | self.lapsed


class Abandoned(NamedTuple):
    """A batch that its worker left, locked by the caller."""

    lane: str
    channel: str
    source: str
    members: str
    journal: str
    takeovers: int
    owner: str


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

    def due_sources(self, lanes: Sequence[str], at: datetime | None) -> list[tuple[str, str]]:
        """Of these, the sources that have a due batch in nobody's hands."""

    def lease(self, request: LeaseRequest, at: datetime | None) -> list[Lease]:
        """Takes due batches; nobody else gets them until the lease runs out."""

    def lock_owned(
        self, leases: Sequence[Lease], owner: str, at: datetime | None
    ) -> list[tuple[int, bool]]:
        """Locks the rows of batches that are still ours, without waiting for any that another has
        locked; returns (id, whether the lease has not run out)."""

    def owned(self, leases: Sequence[Lease], owner: str) -> set[int]:
        """Ids of the batches that still carry this owner and fence, locked by others or not."""

    def read_journals(self, leases: Sequence[Lease], owner: str) -> dict[int, str]:
        """Journals of the batches that are still ours, read after every transaction that has them
        locked has ended."""

    def write_journals(self, journals: Mapping[int, str]) -> None:
        """Sets the journals of batches that `hold` has locked."""

    def delete(self, batch_ids: Sequence[int]) -> None:
        """Deletes finished batches that `hold` has locked."""

    def renew(
        self, leases: Sequence[Lease], owner: str, seconds: float, at: datetime | None
    ) -> set[int]:
        """Extends leases that were not taken over, also those that ran out; returns their ids.
        Rows that another has locked are left out."""

    def release(self, leases: Sequence[Lease], owner: str, due_at: datetime | None) -> None:
        """Gives batches back, due again at due_at (None: as they were)."""

    def release_unknown(self, owner: str, known: Sequence[int]) -> None:
        """Gives back an owner's batches that it does not know of, because the answer to its lease
        was lost. Reads all batches: for after an outage."""

    def owners(self, limit: int) -> list[str]:
        """The owners of leased batches. Reads all batches: for the rare full sweep."""

    def abandoned(
        self,
        ended: Sequence[str],
        late: Sequence[str] | None,
        at: datetime | None,
        limit: int,
        *,
        after: int,
    ) -> list[int]:
        """Ids of batches above `after` whose owner has ended, or is late (None: any owner) with its
        lease run out; ascending."""

    def claim_abandoned(
        self, batch_id: int, ended: Sequence[str], at: datetime | None
    ) -> Abandoned | None:
        """Locks a batch whose owner has ended or whose lease ran out.

        None when it is gone, alive again, or in another sweeper's hands.
        """

    def reset(self, batch_id: int, takeovers: int, size: int) -> None:
        """Makes a claimed batch free again under a higher fence, with an empty journal. size: how
        many of its members still wait in it."""

    def lock_batch(self, batch_id: int) -> None:
        """Locks a batch's row (rule 7: cancel and journal lock the same row first)."""
