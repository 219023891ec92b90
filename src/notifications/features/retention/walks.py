"""Walks tables in the order of their keys and remembers how far each has come.

Keys rise with time, within an hour or so. A step reads the next rows, handles those that are due,
and moves the position behind them, in one transaction. Rows at or below the position that must stay
(not ended, on hold, due later) become leftovers and are looked at again at a later time. So no step
reads a row twice for nothing, and a process that dies loses at most its step.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from django.db import transaction
from django.db.models import F

from directory.moments import EARLIEST
from notifications.features.retention.holds import held_users
from notifications.features.retention.statements import use_indexes
from notifications.features.retention.steps import Step
from notifications.infra import clock
from notifications.models import RetentionLeftover, RetentionProgress

PAUSE = timedelta(minutes=5)
"""How long a rule rests when it found nothing more to do."""
AGAIN = timedelta(days=1)
"""When a row that had to stay is looked at again."""


class RowsChanged(Exception):
    """Rows got another state during a step. The step is rolled back and done again."""


class Aged(NamedTuple):
    """A row that a walk has read."""

    key: int
    #: When it was made. Keys rise with this time.
    born: datetime
    #: The time from which its age counts: when it was made, was due or ended.
    at: datetime
    #: The category whose retention counts; 0 for none.
    category_id: int = 0


@dataclass(slots=True)
class RoundPlan:
    """What all steps of one round share."""

    now: datetime
    #: The own retention of categories that have one.
    categories: Mapping[int, timedelta]
    #: The sources of broadcasts that are not over. Their notifications stay.
    open_sources: frozenset[str] = frozenset()
    #: Keys from this one on may still be written by a broadcast that is being launched.
    closed_below: int | None = None
    #: False for a dry run, which changes nothing.
    applies: bool = True
    #: The users under a legal hold; read again for each step.
    held: frozenset[int] = frozenset()
    #: Rows by table: what was done, or would be.
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class StepOutcome:
    """What became of the due rows of a step."""

    #: Rows that were emptied or deleted, by table.
    counts: Counter[str] = field(default_factory=Counter)
    #: Keys of rows that had to stay, because they have not ended or are on hold.
    stays: list[int] = field(default_factory=list)
    #: Keys of rows of which a part is left, for the next step.
    unfinished: list[int] = field(default_factory=list)


class Walk(Protocol):
    """One table that is walked."""

    #: Whether the walk begins anew each day, because rows become due in no order.
    repeats: bool

    def groups(self, plan: RoundPlan) -> Sequence[int]:
        """Returns the groups that have a position of their own: 0, and ids of categories."""

    def age(self, plan: RoundPlan, group: int) -> timedelta | None:
        """Returns the age at which rows of a group are due; None where nothing is to be done."""

    def left_at(self, plan: RoundPlan, group: int) -> timedelta | None:
        """Returns the age from which another rule deletes the rows; None where none does."""

    def after(self, position: int, count: int) -> list[Aged]:
        """Returns the next rows by key."""

    def named(self, keys: Sequence[int]) -> list[Aged]:
        """Returns the rows with these keys that still exist."""

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        """Handles due rows, in the caller's transaction. budget: the most rows of other tables."""


@dataclass(slots=True)
class Position:
    """Where a walk is: in memory for a dry run, else copied from its row."""

    key: int = 0
    reached_at: datetime | None = None
    ended: bool = False


class GroupWalk:
    """The walk of one rule over one group.

    others: the categories of the rule's other groups.
    """

    def __init__(
        self, rule: str, walk: Walk, group: int, plan: RoundPlan, others: Collection[int] = ()
    ) -> None:
        self.rule = rule
        self._walk = walk
        self._group = group
        self._others = frozenset(others)
        self._plan = plan

    # -- the upkeep ------------------------------------------------------------------------------

    def step(self, count: int) -> Step:
        """Does one step over at most `count` rows. It is one transaction.

        A step of another process at the same time is left alone: this one does nothing.
        """
        began = clock.monotonic()
        try:
            return self._step(count)
        except RowsChanged:
            return Step(count, 0, clock.monotonic() - began)

    def _step(self, count: int) -> Step:
        with transaction.atomic():
            began = clock.monotonic()
            rows = RetentionProgress.objects.select_for_update(skip_locked=True)
            row = rows.filter(rule=self.rule, category_id=self._group).first()
            if row is None or row.next_at > self._plan.now:
                return Step(0, 0, clock.monotonic() - began)
            use_indexes()
            self._note_age(row)
            done = self._again(count)
            found = count
            if done is None:
                place = Position(row.position, row.reached_at)
                done = self._forward(place, count)
                self._save(row, place)
                found = 0 if place.ended else count
            total = done.total()
            if total:
                RetentionProgress.objects.filter(pk=row.pk).update(done=F("done") + total)
            self._plan.counts += done
            return Step(found, total, clock.monotonic() - began)

    def _note_age(self, row: RetentionProgress) -> None:
        days = (self._walk.age(self._plan, self._group) or timedelta()).days
        if row.days != days:
            RetentionLeftover.objects.look_again(self.rule, self._group, now=self._plan.now)
            RetentionProgress.objects.filter(pk=row.pk).update(days=days)

    def _save(self, row: RetentionProgress, place: Position) -> None:
        row.position, row.reached_at = place.key, place.reached_at
        if place.ended:
            row.next_at = self._plan.now + (AGAIN if self._walk.repeats else PAUSE)
            if self._walk.repeats:
                row.position = 0
        row.save(update_fields=["position", "reached_at", "next_at"])

    def _again(self, count: int) -> Counter[str] | None:
        """Looks again at the leftovers that are due; None where none is."""
        due = RetentionLeftover.objects.filter(
            rule=self.rule, category_id=self._group, again_at__lte=self._plan.now
        )
        row = due.order_by("again_at", "id").first()
        if row is None:
            return None
        keys = row.key_list()
        part, rest = keys[:count], keys[count:]
        row.delete()
        self._leave(rest, row.again_at)
        rows = self._walk.named(part)
        self._hand_over([each for each in rows if not self._is_mine(each)])
        return self._handle(rows, count)

    def _hand_over(self, rows: Sequence[Aged]) -> None:
        """Moves leftovers of a category that has its own group since."""
        for group in {row.category_id for row in rows}:
            keys = [row.key for row in rows if row.category_id == group]
            RetentionLeftover.objects.add(self.rule, group, keys, again_at=self._plan.now)

    def _forward(self, place: Position, count: int) -> Counter[str]:
        """Handles the next rows and moves the position."""
        rows = self._walk.after(place.key, count)
        passed = self._passed(rows)
        if passed:
            place.key, place.reached_at = passed[-1].key, passed[-1].born
        if len(passed) < len(rows) or len(rows) < count:
            place.ended, place.reached_at = True, self._cutoff()
        return self._handle(passed, count)

    def _passed(self, rows: Sequence[Aged]) -> list[Aged]:
        """Returns the rows up to the last one that was made long enough ago.

        Rows whose keys a broadcast may still write are not passed.
        """
        cutoff, below = self._cutoff(), self._plan.closed_below
        if self._walk.repeats:
            return list(rows)
        last = 0
        for number, row in enumerate(rows, 1):
            if below is not None and row.key >= below:
                break
            if row.born <= cutoff:
                last = number
        return list(rows[:last])

    def _cutoff(self) -> datetime:
        return self._plan.now - (self._walk.age(self._plan, self._group) or timedelta())

    def _gone(self) -> datetime:
        """Returns the time up to which rows are left to another rule, which deletes them."""
        left_at = self._walk.left_at(self._plan, self._group)
        return EARLIEST if left_at is None else self._plan.now - left_at

    def _handle(self, rows: Iterable[Aged], budget: int) -> Counter[str]:
        """Handles those of the rows that are due; the others become leftovers."""
        mine = [row for row in rows if self._is_mine(row)]
        cutoff, gone = self._cutoff(), self._gone()
        due = [row.key for row in mine if gone < row.at <= cutoff]
        if due:
            self._plan.held = held_users()
        outcome = self._walk.apply(due, self._plan, budget) if due else StepOutcome()
        if self._plan.applies:
            self._leave_late([row for row in mine if row.at > cutoff])
            self._leave(outcome.unfinished, self._plan.now)
            if not self._walk.repeats:
                self._leave(outcome.stays, self._plan.now + AGAIN)
        return outcome.counts

    def _is_mine(self, row: Aged) -> bool:
        if self._group:
            return row.category_id == self._group
        return row.category_id not in self._others

    def _leave_late(self, rows: Iterable[Aged]) -> None:
        if self._walk.repeats:
            return
        age = self._walk.age(self._plan, self._group) or timedelta()
        by_day: dict[datetime, list[int]] = defaultdict(list)
        for row in rows:
            due = row.at + age
            day = due.replace(hour=0, minute=0, second=0, microsecond=0) + AGAIN
            by_day[day].append(row.key)
        for day, keys in by_day.items():
            self._leave(keys, day)

    def _leave(self, keys: Sequence[int], again_at: datetime) -> None:
        if keys:
            RetentionLeftover.objects.add(self.rule, self._group, keys, again_at=again_at)

    # -- the dry run -----------------------------------------------------------------------------

    def survey(self, page: int) -> Counter[str]:
        """Returns what steps would empty or delete now, by table. Changes nothing.

        Reads `page` rows in each transaction.
        """
        found: Counter[str] = Counter()
        row = RetentionProgress.objects.filter(rule=self.rule, category_id=self._group).first()
        place = Position(row.position if row else 0)
        last = 0
        due = RetentionLeftover.objects.filter(
            rule=self.rule, category_id=self._group, again_at__lte=self._plan.now
        )
        while (leftover := due.filter(pk__gt=last).order_by("pk").first()) is not None:
            last = leftover.pk
            found += self._handle(self._walk.named(leftover.key_list()), page)
        while not place.ended:
            found += self._forward(place, page)
        return found


def category_positions(rule: str, walk: Walk, plan: RoundPlan) -> list[int]:
    """Creates the missing rows of progress of a rule, unless for a dry run; returns its groups.

    A category that gets a retention of its own begins where the rule is for all categories. One
    that lost its own continues from its own position.
    """
    rows = dict(RetentionProgress.objects.filter(rule=rule).values_list("category_id", "position"))
    wanted = {0, *walk.groups(plan)}
    if not plan.applies:
        return sorted(wanted | rows.keys())
    if wanted - rows.keys() - {0}:
        RetentionLeftover.objects.look_again(rule, 0, now=plan.now)
    RetentionProgress.objects.bulk_create(
        (
            RetentionProgress(
                rule=rule, category_id=group, position=rows.get(0, 0), next_at=plan.now
            )
            for group in sorted(wanted - rows.keys())
        ),
        ignore_conflicts=True,
    )
    return sorted(wanted | rows.keys())
