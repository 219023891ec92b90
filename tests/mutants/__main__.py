"""Plants mutants and reports which of them survive: `make mutants`.

Each of two processes works in its own copy of the repository. Results are stored in a file, so that
the next run continues where a run ended. Each mutant is tried in a fork of a process that has
loaded the libraries, with the tests that run the changed line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

from tests.mutants.areas import SHARES, tests_for
from tests.mutants.covering import Recording
from tests.mutants.planting import Mutant, sample
from tests.mutants.workspace import Baselines, Trial, Workspace, load_libraries

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "var/mutants.jsonl"
RECORDED = ROOT / "var/mutants-recorded.jsonl"
BASELINES = ROOT / "var/mutants-baselines.jsonl"
NONE_LIVES_IN = [area for area in SHARES if area != "features"]
_WORDS = ("killed", "hangs", "equivalent", "lives")
_FILES_AT_ONCE = 6
_OUT = os.fdopen(os.dup(1), "w")  # pytest captures output to the original descriptor
_FORKS = multiprocessing.get_context("fork")


def main() -> int:
    """Tries the sample; returns 1 when a mutant survives that should not."""
    arguments = _parse_arguments()
    os.chdir(ROOT)
    RESULTS.parent.mkdir(exist_ok=True)
    mutants = _in_turns(sample(arguments.seed, arguments.factor))
    if arguments.list:
        for mutant in mutants:
            _print(f"{mutant.name} {mutant}")
        return 0
    if arguments.living:
        _forget_living()
    known = _known()
    for mutant in mutants:
        if mutant.reason:
            known[mutant.name] = "equivalent"
    wanted = [
        mutant for mutant in mutants if mutant.name not in known and mutant.area in arguments.areas
    ]
    began = time.monotonic()
    if wanted:
        _run(wanted, began + 60 * arguments.minutes, arguments.processes)
    known |= _known()
    _print(f"\n{time.monotonic() - began:.0f} s")
    return _report(mutants, known)


def _parse_arguments() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="make mutants")
    words.add_argument("--seed", type=int, default=1, help="which sample is drawn")
    words.add_argument("--factor", type=float, default=1.0, help="times as many mutants")
    words.add_argument("--minutes", type=float, default=30.0, help="when to stop; run again then")
    words.add_argument("--processes", type=int, default=2, help="how many try mutants at once")
    words.add_argument("--areas", nargs="+", choices=SHARES, default=list(SHARES))
    words.add_argument(
        "--living", action="store_true", help="try those again that survived or hung"
    )
    words.add_argument("--list", action="store_true", help="show the sample, try nothing")
    return words.parse_args()


def _in_turns(mutants: list[Mutant]) -> list[Mutant]:
    """Mixes the mutants of all areas evenly, so that a run that ends early has tried each area.

    Areas whose mutants may survive come last.
    """
    sizes = Counter(mutant.area for mutant in mutants)
    seen: Counter[str] = Counter()
    places = []
    for mutant in mutants:
        seen[mutant.area] += 1
        later = mutant.area not in NONE_LIVES_IN
        places.append((later, seen[mutant.area] / sizes[mutant.area]))
    return [mutant for _, mutant in sorted(zip(places, mutants, strict=True), key=itemgetter(0))]


def _known() -> dict[str, str]:
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {row["name"]: row["became"] for row in map(json.loads, lines)}


def _forget_living() -> None:
    rows = RESULTS.read_text().splitlines(keepends=True) if RESULTS.exists() else []
    RESULTS.write_text("".join(row for row in rows if json.loads(row)["became"] == "killed"))


def _run(mutants: list[Mutant], ends_at: float, count: int) -> None:
    """Tries mutants in `count` processes, each with its own copy."""
    load_libraries()
    shared = _Shared(mutants, tests_for({mutant.area for mutant in mutants}), ends_at, count)
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        workers = [
            _FORKS.Process(target=_work, args=(Path(name) / str(number), shared))
            for number in range(count)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a process ended early: see above")


class _Shared:
    """What the processes share: the mutants, the tests, and counters of the next ones."""

    def __init__(self, mutants: list[Mutant], tests: list[str], ends_at: float, count: int) -> None:
        self.mutants = mutants
        self.tests = tests
        self.missing = Recording(RECORDED, tests).missing
        self.recorded = _FORKS.Barrier(count)
        self._ends_at = ends_at
        self._file = _FORKS.Value("i", 0)
        self.warm = _FORKS.Value("i", 0)
        self.cold = _FORKS.Value("i", 0)
        self.tried = _FORKS.Barrier(count)

    def files(self) -> Iterator[list[str]]:
        """Yields lists of test files for one process to record."""
        while (first := _next(self._file, _FILES_AT_ONCE)) < len(self.missing):
            yield self.missing[first : first + _FILES_AT_ONCE]

    def numbers(self, turn: Any) -> Iterator[int]:
        """Yields the numbers of mutants for one process to try, until the time is over."""
        while time.monotonic() < self._ends_at:
            number = _next(turn, 1)
            if number >= len(self.mutants):
                return
            yield number


def _next(turn: Any, step: int) -> int:
    with turn.get_lock():
        number: int = turn.value
        turn.value += step
    return number


def _work(place: Path, shared: _Shared) -> None:
    """Runs one process: records its part of the tests, then tries mutants."""
    place.mkdir()
    workspace = Workspace(ROOT, place)
    for files in shared.files():
        _print(f"recording which lines {files[0]} and {len(files) - 1} more run")
        workspace.record(files, RECORDED)
    shared.recorded.wait()
    recording = Recording(RECORDED, shared.tests, may_be_old=True)
    for test in recording.failed:
        _print(f"fails without a mutant, so it is not used: {test}")
    baselines = Baselines(BASELINES)
    workspace.serve(recording, baselines, lambda trial: _try(trial, shared, shared.warm))
    shared.tried.wait()
    _try(lambda mutant: workspace.trial(mutant, recording, baselines), shared, shared.cold)


def _try(trial: Trial, shared: _Shared, turn: Any) -> None:
    """Tries the mutants without a result, and stores their results."""
    known = _known()
    for number in shared.numbers(turn):
        mutant = shared.mutants[number]
        if mutant.name in known:
            continue
        began = time.monotonic()
        found = trial(mutant)
        if found is None:
            continue
        became, why = found
        if became != "unjudged":
            row = {"name": mutant.name, "became": became, "why": why, "what": str(mutant)}
            with RESULTS.open("a") as results:
                results.write(json.dumps(row) + "\n")
        took = time.monotonic() - began
        _print(f"{number + 1}/{len(shared.mutants)} {took:.1f} s {became} {mutant} {why}")


def _print(line: str) -> None:
    _OUT.write(line + "\n")
    _OUT.flush()


def _report(mutants: list[Mutant], known: dict[str, str]) -> int:
    _print("\narea                 planted  tried killed hangs equivalent lives")
    for area in SHARES:
        own = [mutant for mutant in mutants if mutant.area == area]
        found = Counter(known[mutant.name] for mutant in own if mutant.name in known)
        counts: list[Any] = [found[word] for word in _WORDS]
        line = "{:<20} {:>7} {:>6} {:>6} {:>5} {:>10} {:>5}"
        _print(line.format(area, len(own), found.total(), *counts))
    living = [mutant for mutant in mutants if known.get(mutant.name) == "lives"]
    for mutant in living:
        _print(f"lives: {mutant}")
    untried = sum(mutant.name not in known for mutant in mutants)
    if untried:
        _print(f"{untried} are still to be tried: run it again")
    return int(any(mutant.area in NONE_LIVES_IN for mutant in living))


if __name__ == "__main__":
    sys.exit(main())
