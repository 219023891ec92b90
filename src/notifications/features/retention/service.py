"""RetentionService: empties and deletes rows by their age, or says what it would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from zlib import crc32

from notifications.features.background.giving_way import critical_waits
from notifications.features.background.items import Items
from notifications.features.retention.deletions import attachments, oldest, walk, without_held
from notifications.features.retention.holds import held_users
from notifications.features.retention.indexed_rules import INDEXED
from notifications.features.retention.rules import IndexedRule, WalkedRule
from notifications.features.retention.sources import first_reserved_key, open_sources
from notifications.features.retention.steps import Deletion, Step, delete_expired
from notifications.features.retention.walked_rules import WALKED
from notifications.features.retention.walks import GroupWalk, RoundPlan, category_positions
from notifications.infra import clock
from notifications.infra.database.clock_bridge import database_now
from notifications.models import Category, Work

ROUND_S = 20.0
_PAGE = 1_000
"""Rows that a dry run reads in one transaction."""


@dataclass(frozen=True, slots=True)
class RuleCount:
    """Rows of one table that a rule empties or deletes."""

    rule: str
    #: `emptied` or `deleted`.
    happens: str
    table: str
    rows: int


class RetentionService:
    """Storage by age. Any number of processes may call it at once."""

    def run(self, *, seconds: float = ROUND_S, now: datetime | None = None) -> list[RuleCount]:
        """Does all rules that are walked, for about `seconds`; returns what was done.

        The next call continues. A rule that fails stops no other.
        """
        now = now or database_now()
        items = Items(Work.RETAIN, now=now)

        def guard(name: str, step: Callable[[], Step]) -> Step | None:
            return items.run_one(crc32(name.encode()), step, default=None, name=name)

        shared = _plan(now)
        plans = {rule.name: replace(shared, counts=Counter()) for rule in WALKED}
        steps: dict[str, Deletion] = {}
        for rule in WALKED:
            for group, each in _group_walks(rule, plans[rule.name]):
                steps[f"{rule.name} {group}" if group else rule.name] = each.step
        until = clock.monotonic() + seconds
        delete_expired(steps, until=until, guard=guard, urgent=critical_waits)
        return [line for rule in WALKED for line in _lines(rule, plans[rule.name].counts)]

    def run_indexed(self, *, until: float, now: datetime) -> dict[str, int]:
        """Does all rules that an index serves; returns the deleted rows by name.

        until: when to stop, on the monotonic clock.
        """
        items = Items(Work.MAINTAIN, now=now)

        def guard(name: str, step: Callable[[], Step]) -> Step | None:
            return items.run_one(crc32(name.encode()), step, default=None, name=name)

        return delete_expired(indexed_deletions(now), until=until, guard=guard)

    def run_all(self, *, report: Callable[[RuleCount], object], seconds: float = ROUND_S) -> None:
        """Does all rules until nothing is left; reports after each round of `seconds`."""
        busy = True
        while busy:
            now = database_now()
            done = self.run_indexed(until=clock.monotonic() + seconds, now=now)
            lines = self.run(seconds=seconds, now=now)
            for rule in INDEXED:
                table = rule.models[0]._meta.db_table
                count = done[deletion_name(rule)]
                lines += [RuleCount(rule.name, rule.happens, table, count)] if count else []
            for line in lines:
                report(line)
            busy = bool(lines)

    def dry_run(self, *, now: datetime | None = None) -> list[RuleCount]:
        """Returns what would be emptied and deleted now. Changes nothing.

        It reads all rows that are due, a thousand in each transaction.
        """
        now = now or database_now()
        lines: list[RuleCount] = []
        plan = _plan(now, applies=False)
        for rule in WALKED:
            counts: Counter[str] = Counter()
            for _, each in _group_walks(rule, plan):
                counts += each.survey(_PAGE)
            lines += _lines(rule, counts)
        for indexed in INDEXED:
            rows = without_held(indexed, indexed.due(now))
            lines += _lines(indexed, Counter({rows.model._meta.db_table: rows.count()}))
        return lines


def _plan(now: datetime, *, applies: bool = True) -> RoundPlan:
    own = Category.objects.filter(retention_days__gte=1)
    days = dict(own.values_list("pk", "retention_days"))
    return RoundPlan(
        now=now,
        categories={key: timedelta(days=count or 1) for key, count in days.items()},
        open_sources=open_sources(),
        closed_below=first_reserved_key(),
        applies=applies,
        held=held_users(),
    )


def _group_walks(rule: WalkedRule, plan: RoundPlan) -> Iterator[tuple[int, GroupWalk]]:
    groups = category_positions(rule.name, rule.walk, plan)
    for group in groups:
        if rule.walk.age(plan, group) is not None:
            others = [each for each in groups if each]
            yield group, GroupWalk(rule.name, rule.walk, group, plan, others)


def _lines(rule: WalkedRule | IndexedRule, counts: Counter[str]) -> list[RuleCount]:
    found = sorted(counts.items())
    return [RuleCount(rule.name, rule.happens, table, rows) for table, rows in found if rows]


def deletion_name(rule: IndexedRule) -> str:
    """Returns the name of a rule in the result of a round of the upkeep."""
    return f"{rule.name.lower().replace(' ', '_')}_deleted"


def indexed_deletions(now: datetime) -> dict[str, Deletion]:
    """Returns the deletions of the rules that an index serves, by name."""
    found: dict[str, Deletion] = {}
    for rule in INDEXED:
        due = without_held(rule, rule.due(now))
        delete = walk(due) if rule.small else oldest(due)
        found[deletion_name(rule)] = partial(attachments, now) if rule.checks else delete
    return found
