"""Simulated tests: the counts of two variants at each look.

People arrive at random, so that each kind of person (variant, converted or not) of each look is an
independent Poisson number. A number is drawn by inversion, from a table of its distribution.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

LOOKS = 200

Look = tuple[int, int, int, int]
"""Control converted, control not, variant converted, variant not, until this look."""

Looks = list[Look]


@dataclass(frozen=True, slots=True)
class Pattern:
    """How people arrive. first, last: people at the first and the last look, on average.

    grows: each look has more new people than the one before, by the same factor.
    waits: all people are there at the first look, and convert evenly over the looks.
    """

    first: int
    last: int
    grows: bool = False
    waits: bool = False

    def shares(self) -> list[float]:
        """Returns the share of the last look's people that is new at each look."""
        if not self.grows:
            return [1 / LOOKS] * LOOKS
        step = (self.last / self.first) ** (1 / (LOOKS - 1))
        reached = [self.first * step**look / self.last for look in range(LOOKS)]
        return [reached[0], *(b - a for a, b in pairwise(reached))]


@dataclass(frozen=True, slots=True)
class Truth:
    """The real rates. share: of the variant among the people."""

    share: float
    control: float
    variant: float


def simulate(
    truth: Truth, pattern: Pattern, *, tests: int, seed: int
) -> Iterator[tuple[Looks, Looks]]:
    """Yields the looks of each test: with the settled people, and with all exposed people.

    Where people wait, their time to convert is over at the last look, and not before.
    """
    draw = random.Random(seed)
    parts = (
        (1 - truth.share) * truth.control,
        (1 - truth.share) * (1 - truth.control),
        truth.share * truth.variant,
        truth.share * (1 - truth.variant),
    )
    columns = [
        [_poisson(draw, pattern.last * part * new, tests) for new in pattern.shares()]
        for part in parts
    ]
    for test in range(tests):
        sums = [list(accumulate(numbers[test] for numbers in column)) for column in columns]
        looks = list(zip(*sums, strict=True))
        if not pattern.waits:
            yield looks, looks
            continue
        last = looks[-1]
        settled = [(one, 0, three, 0) for one, _, three, _ in looks[:-1]]
        everybody = last[0] + last[1], last[2] + last[3]
        exposed = [
            (one, everybody[0] - one, three, everybody[1] - three) for one, _, three, _ in looks
        ]
        yield [*settled, last], exposed


def _poisson(draw: random.Random, mean: float, count: int) -> array[int]:
    """Returns independent Poisson numbers; what lies ten deviations away is left out.

    They are packed: a cell of 10,000 tests has eight million of them.
    """
    reach = 10 * math.sqrt(mean) + 20
    numbers = range(max(0, int(mean - reach)), int(mean + reach) + 1)
    logs = [number * math.log(mean) - mean - math.lgamma(number + 1) for number in numbers]
    return array("I", draw.choices(numbers, weights=[math.exp(log) for log in logs], k=count))
