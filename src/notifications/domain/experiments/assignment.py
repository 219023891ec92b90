"""Assigns people to the variants of a test by a hash, so that nothing has to be stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

_PARTS = 10_000
"""Percentages count to a hundredth of a percent."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant and its weight: with weights 9 and 1, nine of ten people get the first."""

    name: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Split:
    """How the people of one test are divided. It must not change while the test runs.

    traffic_percentage: of the people who are not held out, the share that is in the test. A larger
    share later keeps everybody who was in the test, and their variants.
    holdout_percentage: of all people, the share that gets nothing, to measure the whole effect.
    """

    test_id: str
    variants: tuple[Variant, ...]
    traffic_percentage: float = 100.0
    holdout_percentage: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for a split that cannot be carried out."""
        names = [variant.name for variant in self.variants]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError("A test needs at least two variants, each with its own name.")
        if any(variant.weight < 1 for variant in self.variants):
            raise ValueError("A weight is a whole number of at least 1.")
        for percentage in (self.traffic_percentage, self.holdout_percentage):
            if not 0 <= percentage <= 100:
                raise ValueError("A percentage is between 0 and 100.")


class Inclusion(StrEnum):
    """Where a person stands in relation to a test."""

    IN_TEST = "in_test"
    OUTSIDE = "outside"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True)
class Assignment:
    """A person's standing, and the name of the variant for those in the test, else None."""

    standing: Inclusion
    variant: str | None = None


def assign_variant(split: Split, user_id: str) -> Assignment:
    """Returns the assignment of a person: always the same for the same test and person.

    Three independent parts of one SHA-256 decide on holdout, traffic and variant. The test's id is
    part of the hashed text, so that assignments of two tests are independent of each other.
    """
    text = f"{len(split.test_id)}:{split.test_id}:{user_id}"
    digest = hashlib.sha256(text.encode()).digest()
    holdout, traffic, place = (int.from_bytes(digest[at : at + 8]) for at in (0, 8, 16))
    if _within(holdout, split.holdout_percentage):
        return Assignment(Inclusion.HELD_OUT)
    if not _within(traffic, split.traffic_percentage):
        return Assignment(Inclusion.OUTSIDE)
    return Assignment(Inclusion.IN_TEST, _variant_at(place, split.variants))


def _within(draw: int, percentage: float) -> bool:
    """Whether a uniform draw of 64 bits is in the first `percentage` of its range."""
    return draw * _PARTS >> 64 < round(percentage * _PARTS / 100)


def _variant_at(draw: int, variants: tuple[Variant, ...]) -> str:
    """Returns the variant at a uniform draw of 64 bits; each has as many places as its weight."""
    place = draw * sum(variant.weight for variant in variants) >> 64
    index = 0
    while place >= variants[index].weight:
        place -= variants[index].weight
        index += 1
    return variants[index].name
