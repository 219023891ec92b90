"""Counts the round trips to the database, those of plain SQL included."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.models.delivery import hot_postgres, hot_sqlite
from notifications.queue import postgres, sqlite

_OF_TRANSACTIONS = re.compile(r"BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE SAVEPOINT")
_PLAIN = "(plain SQL)"


class Statements:
    """What was sent in the block, but BEGIN, COMMIT and savepoints.

    Statements that travel together count as one. The test's connection counts only.
    """

    def __init__(self) -> None:
        self._orm = CaptureQueriesContext(connection)
        self._patch = pytest.MonkeyPatch()
        self._plain = 0
        self._together = 0

    def __enter__(self) -> Statements:
        for module, names in (
            (hot_postgres, ("pipeline", "inserts_together")),
            (hot_sqlite, ("inserts_together",)),
        ):
            for name in names:
                self._patch.setattr(module, name, self._counted_block(getattr(module, name)))
        for module in (hot_postgres, postgres):
            self._patch.setattr(module, "raw", self._counted_block(module.raw))
        for module in (hot_sqlite, sqlite):
            self._patch.setattr(module, "raw", self._counted(module.raw))
        self._orm.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._orm.__exit__(*error)
        self._patch.undo()

    @property
    def texts(self) -> list[str]:
        """The statements, those of plain SQL without their text."""
        texts = [each["sql"] for each in self._orm.captured_queries]
        return [each for each in texts if not _OF_TRANSACTIONS.match(each)] + [_PLAIN] * self._plain

    def __len__(self) -> int:
        return len(self.texts)

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            self._plain += not self._together
            return call(*given)

        return counted

    def _counted_block(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def counted(*given: Any) -> Iterator[Any]:
            self._plain += not self._together
            self._together += 1
            try:
                with call(*given) as found:
                    yield found
            finally:
                self._together -= 1

        return counted
