"""Periodic work, an item at a time: what fails in one item holds up no other.

An exception of any kind is narrowed to its item: logged with a trace, counted, and the item waits a
minute, then five. At the third failure it is set aside, and tried once a day; `carillon set-aside`
shows and resumes it.
A database that is away is nobody's fault: it ends the round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
"""query_canceled (a statement time-out), serialization_failure: of this statement alone."""


class Items:
    """One round of a kind of work.

    failed: called with the item and its fault, in the transaction that notes a failure. failures:
    how many this round has noted.
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
        # Read once, where asked for. Python 3.11's cached_property would hold a lock meanwhile that
        # all rounds of a process share.
        self._waiting: set[int] | None = None
        self._failed_before: set[int] | None = None
        self.failures = 0

    def runnable(self, rows: QuerySet[Row]) -> QuerySet[Row]:
        """The rows that may be tried now. Their primary keys are the items."""
        return ItemFault.objects.runnable(rows, self._work, self._now)

    def run_one(
        self, item: int, do: Callable[[], T], *, default: T, last: bool = True, name: str = ""
    ) -> T:
        """Does one item, outside of any transaction of ours; the default where it fails.

        last: whether this is the last step of the item's work, after which it is well. name: what
        the item is called, where its number says nothing.

        Raises:
            DatabaseError: the database is away.
        """
        try:
            found = do()
        except Exception as error:
            self.note(item, error, name=name)
            return default
        if last:
            self.clear_failures(item)
        return found

    def run_many(self, items: Sequence[int], do: Callable[[list[int]], int]) -> int:
        """Does items together; where that fails, each by itself. Returns the sum of what `do`
        returns."""
        if len(items) > 1:
            try:
                done = do(list(items))
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
        """Does all of the rows in their order, `at_once` together; returns the sum of what `do`
        returns. What is done must leave the query.

        Bounded: by so many rounds, and by one that neither did nor failed anything, because other
        processes have the rest.
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
        """Notes that an item failed. Called while the exception is handled.

        Raises:
            DatabaseError: the database is away: that is not the item's fault.
        """
        narrow = _is_narrow(error)
        if is_unavailable(error) and not narrow:
            raise error
        trace = ports.token(6)
        said = where(error)
        words = f"{name}: " * bool(name) + f"{said['error']} at {said['at']}"
        with transaction.atomic():
            fault = ItemFault.objects.note(
                self._work, item, error=words, trace=trace, now=self._now, counts=not narrow
            )
            self._notify_failed(item, fault)
        self.failures += 1
        self._failed_items.add(item)
        self.waiting.add(item)
        tell = log.error if fault.set_aside else log.warning
        event = "item.set_aside" if fault.set_aside else "item.failed"
        tell(
            event,
            work=str(self._work),
            item=name or item,
            tries=fault.tries,
            trace=trace,
            exc_info=error,
        )

    def _notify_failed(self, item: int, fault: ItemFault) -> None:
        """What cannot be written at the item itself is not the fault of the others."""
        try:
            with transaction.atomic():
                self._failed(item, fault)
        except Exception as error:
            if is_unavailable(error) and not _is_narrow(error):
                raise
            log.exception("item.unmarked", work=str(self._work), item=item, trace=fault.trace)

    def clear_failures(self, item: int) -> None:
        """Forgets the failures of an item that was done."""
        if item in self._failed_items:
            ItemFault.objects.filter(work=self._work, item=item).delete()
            self._failed_items.discard(item)

    @property
    def waiting(self) -> set[int]:
        """The items that may not be tried now, for work that is not found by a query of theirs."""
        if self._waiting is None:
            self._waiting = _items(ItemFault.objects.waiting(self._work, self._now), "pk")
        return self._waiting

    @property
    def _failed_items(self) -> set[int]:
        """Items that failed before: of the others nothing need be forgotten."""
        if self._failed_before is None:
            rows = ItemFault.objects.filter(work=self._work)
            self._failed_before = _items(rows, "set_aside", "pk")
        return self._failed_before


def _items(rows: QuerySet[ItemFault], *order: str) -> set[int]:
    return set(rows.order_by(*order).values_list("item", flat=True)[:_MOST_KNOWN])


class Rotation:
    """Which rows a round looks at, where looking takes none of them away: the next ones by key, and
    after the last the first again. Each process has its own turn, in memory."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._after = 0

    def next(self, rows: QuerySet[Row]) -> list[int]:
        """The primary keys of the rows whose turn it is: all, where they are few."""
        after, keys = self._after, rows.order_by("pk").values_list("pk", flat=True)
        found = list(keys.filter(pk__gt=after)[: self._at_once])
        if after and len(found) < self._at_once:
            found += keys.filter(pk__lte=after)[: self._at_once - len(found)]
        self._after = found[-1] if len(found) == self._at_once else 0
        return found


def _is_narrow(error: Exception) -> bool:
    """Whether an error of the database concerns this statement's rows, and may pass."""
    return is_locked(error) or sqlstate(error) in _CUT_SHORT
