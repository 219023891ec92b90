"""The database's clock inside statements: the one that all processes share.

SQLite has no clock of its own: its processes share the machine's. A frozen clock of a test replaces
both.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.db.models import DateTimeField, DurationField, Expression, Func, Value
from django.db.models.expressions import CombinedExpression

from notifications.infra import clock


class _StatementTime(Func):
    """The moment at which the statement began."""

    function = "statement_timestamp"
    arity = 0
    output_field = DateTimeField()


def database_time(*, later_s: float = 0.0) -> Expression:
    """Returns the current time of the database plus `later_s` seconds."""
    shift = timedelta(seconds=later_s)
    if clock.frozen() is not None or connection.vendor != "postgresql":
        return Value(clock.now() + shift, output_field=DateTimeField())
    if not shift:
        return _StatementTime()
    return CombinedExpression(
        _StatementTime(),
        "+",
        Value(shift, output_field=DurationField()),
        output_field=DateTimeField(),
    )
