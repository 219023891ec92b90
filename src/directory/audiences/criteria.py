"""Segment criteria as frozen values: tests of one field, and their compositions by logic.

Logic is two-valued: a test of something that is missing, or is of another type than the value that
it is compared with, is false, never unknown; `ne` and `not_in` are the negations of `eq` and `in`.
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
    """So many hours before the moment at which the audience is looked at."""

    hours: int


@dataclass(frozen=True, slots=True)
class Test:
    """One field against a value, or against several. keys lead to a place in the attributes; path
    is where the value stands in what the caller wrote."""

    __test__ = False  # no test of pytest's

    field: str
    op: Op
    value: Operand | Ago | tuple[Operand, ...]
    keys: tuple[str, ...] = ()
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
