"""Small rows that every slice needs, kept in the process: categories and jobs' shared contexts.

A job never changes, so its context is kept as long as there is room. A category may; it is read
again after a few seconds.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from notifications.infra import clock
from notifications.models import Category, CrashPolicy, Job

_FRESH_S = 2.0


class CategoryFacts(NamedTuple):
    """What delivery needs to know of a category."""

    id: int
    key: str
    crash_policy: str

    @property
    def resends(self) -> bool:
        return self.crash_policy == CrashPolicy.RESEND


_categories: dict[int, CategoryFacts] = {}
_read_at = -_FRESH_S


def category_facts(category_id: int) -> CategoryFacts:
    """A category by its id.

    Raises:
        KeyError: when it does not exist.
    """
    global _read_at
    if clock.monotonic() - _read_at > _FRESH_S or category_id not in _categories:
        rows = Category.objects.values_list("id", "key", "crash_policy")
        _categories.clear()
        _categories.update({row[0]: CategoryFacts._make(row) for row in rows})
        _read_at = clock.monotonic()
    return _categories[category_id]


@functools.lru_cache(maxsize=256)
def job_context(job_id: int) -> dict[str, Any]:
    """The context that all recipients of a job share."""
    context: dict[str, Any] | None = Job.objects.only("context").get(pk=job_id).context
    return context or {}


def forget() -> None:
    """Empties what is kept. For tests: a rolled-back database hands out the same keys again."""
    global _read_at
    _categories.clear()
    _read_at = -_FRESH_S
    job_context.cache_clear()
