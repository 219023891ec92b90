"""Periodic work, one item at a time: the failure of one item delays no other.

Any exception is narrowed to its item: it is logged with a trace id and counted, and the item waits
a minute, then five. At the third failure the item is set aside, and attempted once a day (a
campaign and a series of mails every quarter of an hour); `carillon set-aside` shows and resumes it.
An unreachable database is no failure of an item: it ends the round.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

import structlog
from django.db import transaction
from django.db.models import Model, QuerySet

from notifications.delivery.base import where
from notifications.infra import ports
from notifications.infra.database.errors import is_locked, is_unavailable, sqlstate
from notifications.models import ItemFault, Work

log = structlog.get_logger("carillon.items")
T = TypeVar("T")
Row = TypeVar("Row", bound=Model)
_MOST_KNOWN = 10_000
_CUT_SHORT = frozenset({"57014", "40001"})
"""query_canceled (a statement time-out) and serialization_failure: they concern one statement."""


class Items:
    """One round of a kind of work.

    failed: called with the item and its ItemFault, in the transaction that notes a failure.
    """

    def __init__(
        self,
        work: Work,
        *,
        now: datetime,
        failed: Callable[[int, ItemFault], None] = lambda _item, _fault: None,
    ) -> None:
        self._work = work
        self._now = now
        self._failed = failed
        # Each is read once, when it is needed. Python 3.11's cached_property would have a lock
        # meanwhile that all rounds of a process share.
        self._waiting: set[int] | None = None
        self._failed_before: set[int] | None = None
        #: How many failures this round has noted.
        self.failures = 0

    def runnable(self, rows: QuerySet[Row]) -> QuerySet[Row]:
        """Returns the rows that may be processed now. Their primary keys are the items."""
        return ItemFault.objects.runnable(rows, self._work, self._now)

    def run_one(
        self, item: int, do: Callable[[], T], *, default: T, last: bool = True, name: str = ""
    ) -> T:
        """Processes one item outside a transaction; returns `default` where that fails.

        last: whether this is the last step of the item's work, which clears its failures.
        name: a name of the item for the log, where its number says nothing.

        Raises:
            DatabaseError: the database is unreachable.
        """
        try:
            found = do()
        except Exception as error:
            self.note(item, error, name=name)
            return default
        if last:
            self.clear_failures(item)
        return found

    def run_many(self, items: list[int], do: Callable[[list[int]], int]) -> int:
        """Processes items together; where that fails, each by itself.

        Returns the sum of what `do` returns.
        """
        if len(items) > 1:
            try:
                done = do(items)
            except Exception as error:
                if is_unavailable(error) and not _is_narrow(error):
                    raise
                log.warning("items.one_by_one", work=str(self._work), **where(error))
            else:
                for item in self._failed_items.intersection(items):
                    self.clear_failures(item)
                return done
        return sum(self.run_one(item, partial(do, [item]), default=0) for item in items)

    def drain(
        self, rows: QuerySet[Row], do: Callable[[list[int]], int], *, at_once: int, rounds: int
    ) -> int:
        """Processes all rows in order, `at_once` together; returns the sum of what `do` returns.

        A processed row must no longer match the query. This ends after `rounds` rounds, or after a
        round without a result and without a failure: then other processes have the rest.
        """
        done = 0
        for _ in range(rounds):
            keys = list(self.runnable(rows).values_list("pk", flat=True)[:at_once])
            failures = self.failures
            found = self.run_many(keys, do) if keys else 0
            done += found
            if len(keys) < at_once or (not found and self.failures == failures):
                break
        return done

    def note(self, item: int, error: Exception, *, name: str = "") -> None:
        """Notes that an item failed. The caller is handling the exception.

        Raises:
            DatabaseError: the database is unreachable, which is no failure of the item.
        """
        narrow = _is_narrow(error)
        if is_unavailable(error) and not narrow:
            raise error
        trace = ports.token(6)
        place = where(error)
        text = f"{name}: " * bool(name) + f"{place['error']} at {place['at']}"
        with transaction.atomic():
            fault = ItemFault.objects.note(
                self._work, item, error=text, trace=trace, now=self._now, counts=not narrow
            )
            self._notify_failed(item, fault)
        self.failures += 1
        self._failed_items.add(item)
        self.waiting.add(item)
        write = log.error if fault.set_aside else log.warning
        event = "item.set_aside" if fault.set_aside else "item.failed"
        write(
            event,
            work=str(self._work),
            item=name or item,
            tries=fault.tries,
            trace=trace,
            exc_info=error,
        )

    def _notify_failed(self, item: int, fault: ItemFault) -> None:
        """Calls `failed`; its own failure is logged, so that it does not stop the other items."""
        try:
            with transaction.atomic():
                self._failed(item, fault)
        except Exception as error:
            if is_unavailable(error) and not _is_narrow(error):
                raise
            log.exception("item.unmarked", work=str(self._work), item=item, trace=fault.trace)

    def clear_failures(self, item: int) -> None:
        """Deletes the failures of an item that was processed."""
        if item in self._failed_items:
            ItemFault.objects.filter(work=self._work, item=item).delete()
            self._failed_items.discard(item)

    @property
    def waiting(self) -> set[int]:
        """The items that must wait, for work whose items are not found by a query of their own."""
        if self._waiting is None:
            self._waiting = _items(ItemFault.objects.waiting(self._work, self._now), "pk")
        return self._waiting

    @property
    def _failed_items(self) -> set[int]:
        """The items that failed before: only their failures are to be deleted."""
        if self._failed_before is None:
            rows = ItemFault.objects.filter(work=self._work)
            self._failed_before = _items(rows, "set_aside", "pk")
        return self._failed_before


def _items(rows: QuerySet[ItemFault], *order: str) -> set[int]:
    return set(rows.order_by(*order).values_list("item", flat=True)[:_MOST_KNOWN])


class Rotation:
    """Chooses the rows that a round checks, for checks that leave their rows in the query.

    The next ones by key, and after the last row the first again. Each process has its own position,
    in memory.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._after = 0

    def next(self, rows: QuerySet[Row]) -> list[int]:
        """Returns the primary keys of the next rows; all of them where they are few."""
        after, keys = self._after, rows.order_by("pk").values_list("pk", flat=True)
        found = list(keys.filter(pk__gt=after)[: self._at_once])
        if after and len(found) < self._at_once:
            found += keys.filter(pk__lte=after)[: self._at_once - len(found)]
        self._after = found[-1] if len(found) == self._at_once else 0
        return found


def _is_narrow(error: Exception) -> bool:
    """Returns whether a database error concerns only the rows of one statement, and may pass."""
    return is_locked(error) or sqlstate(error) in _CUT_SHORT
