"""The heartbeat renews a worker's leases in a thread of its own, with its own connection."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import DatabaseError, InterfaceError, connection

from notifications.infra import clock, ports
from notifications.infra.conf import environment
from notifications.models.providers.provider_flow import now_us
from notifications.queue import batches

log = structlog.get_logger("carillon.heartbeat")
_BEATS_A_LEASE = 3
_RETRY_S = 1.0


class Heartbeat:
    """A thread that renews a worker's leases at a third of their life.

    Each beat also extends the worker's entry in the list of processes. A batch that another
    transaction has locked is renewed at the next beat.

    Args:
        renew: extends the registration of the worker and its leases.
        unregister: removes the worker from the list of processes.
        on_beat: called after each beat that reached the database.

    All three are called on this thread.
    """

    def __init__(
        self,
        *,
        renew: Callable[[], None],
        unregister: Callable[[], None],
        on_beat: Callable[[], None] | None = None,
    ) -> None:
        self._renew_leases = renew
        self._unregister = unregister
        self._on_beat = on_beat
        self._seconds = environment().lease_seconds
        self._registered_until = 0.0
        self._requested_at: float | None = None
        self._beaten = ports.Event()
        self._ended = ports.Event()
        self._thread = ports.Thread(target=self._run, name="carillon-heartbeat", daemon=True)

    def start(self) -> None:
        """Registers the worker and begins to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and unregisters the worker."""
        self._ended.set()
        self._thread.join(self._seconds)

    def wait_for_first_beat(self) -> None:
        """Waits for the first beat, at most for the time of a lease."""
        self._beaten.wait(self._seconds)

    def is_registered(self) -> bool:
        """Returns whether the worker is surely registered.

        Only then may it lease: sweeps find the batches of dead workers by that list.
        """
        return clock.monotonic() < self._registered_until

    def hanging_s(self) -> float:
        """Returns for how long (s) the current beat has waited for the database; 0 without one."""
        requested_at = self._requested_at
        return 0.0 if requested_at is None else clock.monotonic() - requested_at

    def _run(self) -> None:
        try:
            while True:
                good = self._beat()
                if self._ended.wait(self._seconds / _BEATS_A_LEASE if good else _RETRY_S):
                    break
            run_logged(self._unregister)
        finally:
            connection.close()

    def _beat(self) -> bool:
        requested_at = self._requested_at = clock.monotonic()
        good = run_logged(self._renew)
        self._requested_at = None
        if good:
            self._registered_until = requested_at + self._seconds * batches.SAFE_SHARE
        self._beaten.set()
        if good and self._on_beat is not None:
            good = run_logged(self._on_beat)
        return good

    def _renew(self) -> None:
        now_us()  # the reading sets this process's estimate of the database's clock
        self._renew_leases()


def run_logged(call: Callable[[], object], event: str = "heartbeat.missed") -> bool:
    """Runs a call. Logs an exception as `event` and returns False.

    No exception may end the thread: the worker would lose all its leases.
    """
    try:
        call()
    except (DatabaseError, InterfaceError) as error:
        log.warning(event, error=type(error).__name__)
        connection.close()
        return False
    except Exception:
        log.exception(event)
        connection.close()
        return False
    return True
