"""Segment criteria as frozen values: tests of one field, and their logical combinations.

Logic is two-valued. A test is false, never unknown, where the field is missing or has another type
than the value. `ne` and `not_in` are the negations of `eq` and `in`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from directory.audiences.fields import Op

Scalar = str | int | float | bool
Operand = Scalar | UUID | datetime


@dataclass(frozen=True, slots=True)
class Ago:
    """A number of hours before the moment at which the audience is evaluated."""

    hours: int


@dataclass(frozen=True, slots=True)
class Test:
    """Compares one field with one value or with several."""

    __test__ = False  # pytest must not collect it

    field: str
    op: Op
    value: Operand | Ago | tuple[Operand, ...]
    #: The keys that lead to a place in the attributes.
    keys: tuple[str, ...] = ()
    #: The place of the value in the caller's JSON.
    path: str = ""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Criterion


Criterion = Test | AllOf | AnyOf | Not
