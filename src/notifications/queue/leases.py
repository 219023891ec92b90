"""Values of the queue: waiting batches and leased batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from notifications.models import unpack_keys


class NewBatch(NamedTuple):
    """A batch to be inserted. A due_at of None means now, by the clock of the database."""

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
    """A batch that one worker has leased. The fence tells this lease from any later one."""

    batch_id: int
    lane: str
    channel: str
    source: str
    fence: int
    members: str
    size: int
    takeovers: int
    isolated: bool
    #: The keys that a provider may have received.
    journal: set[int] = field(default_factory=set)
    #: The keys that are not recorded yet.
    open_keys: set[int] = field(default_factory=set)
    #: Another worker took the batch over. Nothing of it may be journalled or recorded here.
    lost: bool = False
    #: The lease must run out: the messages in its journal are uncertain, and a takeover decides.
    abandoned: bool = False
    #: Some members were settled by another process.
    stale: bool = False
    #: Monotonic time just before the lease, or its last renewal, was requested.
    renewed_at: float = 0.0
    #: How many outcomes wait for their record.
    unrecorded: int = 0

    @property
    def careful(self) -> bool:
        """Whether its one message is journalled before anything else: workers died on it."""
        return self.isolated

    def __post_init__(self) -> None:
        self.open_keys = set(unpack_keys(self.members))


class LockedBatches(NamedTuple):
    """Which of some leases still belong to their owner, by batch id."""

    #: Locked, and the lease has not run out.
    living: frozenset[int]
    #: Locked; the lease ran out, but no other worker took the batch over.
    lapsed: frozenset[int]
    #: Owned, but another transaction has the row locked at this moment.
    busy: frozenset[int]

    @property
    def locked(self) -> frozenset[int]:
        """The batches that the caller's transaction has locked. It may record their outcomes."""
        return self.living | self.lapsed


class Abandoned(NamedTuple):
    """A batch whose worker ended or lost its lease, locked by the caller."""

    lane: str
    channel: str
    source: str
    members: str
    journal: str
    takeovers: int
    owner: str


class LeaseRequest(NamedTuple):
    """A worker's request for batches of one lane, in the order of their sources."""

    owner: str
    lane: str
    sources: Sequence[str]
    seconds: float
    budget: int = 500
    most: int = 200
    without_channels: Sequence[str] = ()
    isolated: bool = False


class QueueSQL(Protocol):
    """The statements of each database. `at` replaces the database's clock where tests freeze it."""

    def insert_batches(self, batches: Sequence[NewBatch], at: datetime | None) -> list[int]:
        """Inserts batches and returns their ids in order."""

    def sources(self, lanes: Sequence[str]) -> list[tuple[str, str]]:
        """Returns pairs of lane and source that have batches, due or not, in order in each lane."""

    def due_sources(self, lanes: Sequence[str], at: datetime | None) -> list[tuple[str, str]]:
        """Returns the pairs of `sources` that have a due batch without an owner."""

    def lease(self, request: LeaseRequest, at: datetime | None) -> list[Lease]:
        """Leases due batches. No other worker gets them until the lease runs out."""

    def lock_owned(
        self, leases: Sequence[Lease], owner: str, at: datetime | None
    ) -> list[tuple[int, bool]]:
        """Locks the rows of batches that the owner still has. Skips rows that are locked.

        Returns (id, whether the lease has not run out).
        """

    def owned(self, leases: Sequence[Lease], owner: str) -> set[int]:
        """Returns the ids of the batches with this owner and fence, locked or not."""

    def read_journals(self, leases: Sequence[Lease], owner: str) -> dict[int, str]:
        """Returns the journals of the batches that the owner still has.

        Waits for every transaction that has them locked.
        """

    def write_journals(self, journals: Mapping[int, str]) -> None:
        """Sets the journals of batches that `lock_owned` has locked."""

    def delete(self, batch_ids: Sequence[int]) -> None:
        """Deletes finished batches that `lock_owned` has locked."""

    def renew(
        self, leases: Sequence[Lease], owner: str, seconds: float, at: datetime | None
    ) -> set[int]:
        """Extends leases that were not taken over, also those that ran out. Skips locked rows.

        Returns the ids of the extended leases.
        """

    def release(self, leases: Sequence[Lease], owner: str, due_at: datetime | None) -> None:
        """Gives batches back. They are due again at due_at (None: unchanged)."""

    def release_unknown(self, owner: str, known: Sequence[int]) -> None:
        """Gives back batches that the owner does not know: the response to their lease was lost.

        Reads all batches: only for use after an outage.
        """

    def owners(self, limit: int) -> list[str]:
        """Returns the owners of leased batches. Reads all batches: only for the rare full sweep."""

    def abandoned(
        self,
        ended: Sequence[str],
        late: Sequence[str] | None,
        at: datetime | None,
        limit: int,
        *,
        after: int,
    ) -> list[int]:
        """Returns ids of batches above `after`, ascending.

        Their owner has ended, or is late (None: any owner) and its lease ran out.
        """

    def claim_abandoned(
        self, batch_id: int, ended: Sequence[str], at: datetime | None
    ) -> Abandoned | None:
        """Locks a batch whose owner has ended or whose lease ran out.

        Returns None when it is deleted, renewed, or locked by another sweep.
        """

    def reset(self, batch_id: int, takeovers: int, size: int) -> None:
        """Frees a claimed batch, with a higher fence and an empty journal.

        size: how many of its members still wait in it.
        """

    def lock_batch(self, batch_id: int) -> None:
        """Locks the row of a batch. Cancel and journal both lock it first."""
