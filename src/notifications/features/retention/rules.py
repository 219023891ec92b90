"""What a rule of retention is: which rows of which tables, at which age, and what a row costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model, QuerySet

from notifications.features.retention.walks import Walk
from notifications.infra.conf import environment

DELETED, EMPTIED = "deleted", "emptied"


@dataclass(frozen=True, kw_only=True)
class RetentionRule:
    """What happens to the rows of some tables, for the page and the test of completeness."""

    #: Its name in metrics, in `carillon retention` and in rows of progress.
    name: str
    models: tuple[type[Model], ...]
    happens: str
    #: Which rows, as the end of the sentence "rows are deleted ...".
    when: str
    #: The field of the environment with the age; empty where rows end by themselves.
    setting: str = ""
    #: What the rows cost while they stay.
    cost: str


@dataclass(frozen=True, kw_only=True)
class IndexedRule(RetentionRule):
    """Rows that an indexed column finds, the oldest first. They are deleted by the upkeep loop."""

    def age(self) -> timedelta:
        """Returns the age at which rows are due, by the setting."""
        if not self.setting:
            return timedelta()
        number = getattr(environment(), self.setting)
        return timedelta(hours=number) if self.setting.endswith("_hours") else timedelta(number)

    #: Returns the due rows, in the order of an index.
    due: Callable[[datetime], QuerySet[Any]]
    #: The column with the time from which the age counts.
    column: str
    #: Whether the table is read once by its key in each round, because no index finds the rows.
    small: bool = False
    #: The column with the user whose legal hold makes a row stay; empty for none.
    user: str = ""
    #: Whether rows may be needed although they are due, so that each is checked first.
    checks: bool = False


@dataclass(frozen=True, kw_only=True)
class WalkedRule(RetentionRule):
    """Rows that are found in the order of their keys (walks.py)."""

    walk: Walk


def days_of(setting: str) -> timedelta:
    return timedelta(days=getattr(environment(), setting))


def older_than(
    model: type[Model], column: str, setting: str = "", *order: str, **more: Any
) -> Callable[[datetime], QuerySet[Any]]:
    """Returns the query of rows whose time in `column` is older than the setting, if any."""

    def due(now: datetime) -> QuerySet[Any]:
        limit = now - days_of(setting) if setting else now
        found = model._default_manager.filter(**{f"{column}__lt": limit}, **more)
        return found.order_by(column, *order)

    return due
