"""`bench experiments`: how often A/B tests without a difference get a winner, and the power."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

from carillon.bench.experiments.arrivals import LOOKS, Pattern, Truth, simulate
from carillon.bench.experiments.rules import (
    ceilings_of,
    first_guarded,
    first_mismatch,
    first_winner,
    misses,
)
from carillon.bench.harness.environment import machine
from notifications.domain.experiments.planning import sample_size
from notifications.domain.experiments.prior import NO_PLAN, ExperimentPlan

SPLITS = (1, 9, 19)
"""Control's weight; the variant has weight 1."""
RATES = (0.002, 0.02, 0.2)
LIFT = 0.2
"""The true lift of the tests for the power, and the planned one."""
PATTERNS = {
    "even": Pattern(first=100, last=20_000),
    "growing": Pattern(first=20, last=1_000_000, grows=True),
    "late": Pattern(first=20_000, last=20_000, waits=True),
}
_HORIZON = 2.5
"""The power is measured until so many times the people of a fixed look."""


def run(
    *,
    tests: int = 10_000,
    seed: int = 1,
    parts: str = "even,growing,late,power",
    processes: int = 0,
) -> dict[str, Any]:
    """Returns percentages for each cell of split and rate, over 200 looks.

    False positives: tests without a difference that ever get a winner at 5 %. The power: tests
    with a lift of 20 % that find it, a fifth as many. guarded: the rule that is usual elsewhere.
    processes: that share the cells, 0 for one a processor; the figures are the same with any.

    Raises:
        ValueError: a part that does not exist.
    """
    asked = parts.split(",")
    if not set(asked) <= {*PATTERNS, "power"}:
        raise ValueError(f"the parts are {', '.join(PATTERNS)} and power, with commas between them")
    places = [(weight, rate, part) for weight in SPLITS for rate in RATES for part in asked]
    work = partial(_figures, tests=tests, seed=seed)
    count = min(processes or os.cpu_count() or 1, len(places))
    if count == 1:
        found = [work(place) for place in places]
    else:
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(work, places))
    cells: dict[str, Any] = {}
    for (weight, rate, part), figures in zip(places, found, strict=True):
        cells.setdefault(f"{weight}:1 {100 * rate:g} %", {})[part] = figures
    return {"tests": tests, "looks": LOOKS, "seed": seed, **machine(), **cells}


def _figures(place: tuple[int, float, str], *, tests: int, seed: int) -> dict[str, float]:
    """Returns the figures of one part of a cell. place: control's weight, the rate, the part."""
    weight, rate, part = place
    share = 1 / (weight + 1)
    if part == "power":
        return power(rate, share, tests=max(tests // 5, 1), seed=seed)
    return false_positives(rate, share, PATTERNS[part], tests=tests, seed=seed)


def false_positives(
    rate: float, share: float, pattern: Pattern, *, tests: int, seed: int
) -> dict[str, float]:
    """Returns the percentages of healthy tests without a difference that get a wrong answer.

    mismatch: that are called mismatched at any look.
    """
    plan = ExperimentPlan(rate=rate, lift=LIFT)
    counts = dict.fromkeys(("unplanned", "planned", "guarded", "mismatch"), 0)
    for looks, exposed in simulate(Truth(share, rate, rate), pattern, tests=tests, seed=seed):
        ceilings = [ceilings_of(look, share) for look in looks]
        counts["unplanned"] += first_winner(looks, ceilings, share, NO_PLAN) is not None
        counts["planned"] += first_winner(looks, ceilings, share, plan) is not None
        counts["guarded"] += first_guarded(exposed) is not None
        counts["mismatch"] += first_mismatch(exposed, share) is not None
    return {name: round(100 * count / tests, 2) for name, count in counts.items()}


def power(rate: float, share: float, *, tests: int, seed: int) -> dict[str, float]:
    """Returns the power by people, as multiples of the people of one fixed look with 80 %.

    NAME_at_1: percent found by those people. NAME_half, NAME_80: the multiples by which half and
    80 % of the tests have found it. missed: percent of tests whose interval of the lift ever
    excludes the true lift.
    """
    fixed = sample_size(rate=rate, lift=LIFT, weights=(1 - share, share)).fixed
    variant = rate * (1 + LIFT)
    plan = ExperimentPlan(rate=rate, lift=LIFT)
    pattern = Pattern(first=fixed // LOOKS, last=round(_HORIZON * fixed))
    odds = plan.log_odds_ratio()
    found: dict[str, list[int]] = {"unplanned": [], "planned": [], "guarded": []}
    missed = 0
    for looks, _ in simulate(Truth(share, rate, variant), pattern, tests=tests, seed=seed):
        ceilings = [ceilings_of(look, share) for look in looks]
        _add(found["unplanned"], first_winner(looks, ceilings, share, NO_PLAN))
        _add(found["planned"], first_winner(looks, ceilings, share, plan))
        _add(found["guarded"], first_guarded(looks))
        missed += misses(looks, ceilings, share, plan, odds)
    figures: dict[str, float] = {"people": fixed}
    for name, looks_needed in found.items():
        figures |= {f"{name}_{key}": value for key, value in _summary(looks_needed).items()}
    return figures | {"missed": round(100 * missed / tests, 2)}


def _add(found: list[int], look: int | None) -> None:
    found.append(10 * LOOKS if look is None else look + 1)


def _summary(looks: Sequence[int]) -> dict[str, float]:
    """Returns percent found by the people of a fixed look, and multiples of them; 0: not found."""
    ordered = sorted(looks)
    at_one = sum(look * _HORIZON <= LOOKS for look in looks) / len(looks)
    return {
        "at_1": round(100 * at_one, 1),
        "half": _multiple(ordered[len(ordered) // 2]),
        "80": _multiple(ordered[len(ordered) * 4 // 5]),
    }


def _multiple(look: int) -> float:
    return round(look * _HORIZON / LOOKS, 2) if look <= LOOKS else 0.0
