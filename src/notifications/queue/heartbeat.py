"""Keeps a worker's leases alive, off the send loop, and tells until when they surely stand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog
from django.db import DatabaseError, InterfaceError, connection

from notifications.conf import environment
from notifications.domain.channels import Lane
from notifications.infra import clock
from notifications.models import WorkerProcess
from notifications.queue import batches
from notifications.queue.leases import Lease

log = structlog.get_logger("carillon.heartbeat")
_MARGIN = 0.1


class Heartbeat:
    """A thread that renews at a third of the lease's life.

    The deadline is kept on the monotonic clock, counted from before the renewal was asked for: a
    process that was stopped and woke up sees at once that its leases may be another's.
    """

    def __init__(
        self,
        *,
        owner: str,
        lanes: Sequence[Lane],
        leases: Callable[[], Sequence[Lease]],
    ) -> None:
        self._owner = owner
        self._lanes = [str(lane) for lane in lanes]
        self._leases = leases
        self._seconds = environment().lease_seconds
        self._good_until = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="carillon-heartbeat", daemon=True)

    def start(self) -> None:
        """Registers the worker and begins to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and takes the worker off the list of the living."""
        self._ended.set()
        self._thread.join()

    def deadline(self, leased_at: float) -> float:
        """Until when, on the monotonic clock, a lease taken at `leased_at` surely stands."""
        fresh = max(leased_at + self._seconds, self._good_until)
        return fresh - self._seconds * _MARGIN

    def _run(self) -> None:
        try:
            while True:
                self._beat()
                if self._ended.wait(self._seconds / 3):
                    break
            with_database(self._farewell)
        finally:
            connection.close()

    def _beat(self) -> None:
        asked_at = clock.monotonic()
        if with_database(self._renew):
            self._good_until = asked_at + self._seconds

    def _renew(self) -> None:
        held = [lease for lease in self._leases() if not lease.lost]
        if held:
            batches.renew(held, self._owner, self._seconds)
        now = clock.now()
        WorkerProcess.objects.update_or_create(
            owner=self._owner,
            defaults={"lease_until": now + timedelta(seconds=self._seconds), "lanes": self._lanes},
            create_defaults={
                "lease_until": now + timedelta(seconds=self._seconds),
                "lanes": self._lanes,
                "started_at": now,
            },
        )

    def _farewell(self) -> None:
        """A worker that still holds something is left to be found by the sweep."""
        if not self._leases():
            WorkerProcess.objects.filter(owner=self._owner).delete()


def with_database(call: Callable[[], None]) -> bool:
    """Runs a call; a database that is away is logged and answered with False."""
    try:
        call()
    except (DatabaseError, InterfaceError) as error:
        log.warning("heartbeat.missed", error=type(error).__name__)
        connection.close()
        return False
    return True
