"""Plants mutants and tells which of them live: `make mutants`.

Works in copies of the repository, one for each of two processes. What has been tried is kept in a
file, so that a run that ended goes on where it was. Each mutant is tried in a fork of a process
that has loaded the libraries already, with the tests that run the changed line.
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
from operator import itemgetter
from pathlib import Path
from typing import Any

from tests.mutants.covering import Recording
from tests.mutants.field import Baselines, Field, load_libraries
from tests.mutants.planting import Mutant, sample
from tests.mutants.rooms import SHARES

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "var/mutants.jsonl"
RECORDED = ROOT / "var/mutants-recorded.jsonl"
BASELINES = ROOT / "var/mutants-baselines.jsonl"
NONE_LIVES_IN = [room for room in SHARES if room != "services"]
_WORDS = ("killed", "hangs", "equivalent", "lives")
_FORKS = multiprocessing.get_context("fork")


def main() -> int:
    """Tries the sample; 1 when a mutant lives that should not."""
    asked = _asked()
    os.chdir(ROOT)
    KEPT.parent.mkdir(exist_ok=True)
    mutants = _in_turns(sample(asked.seed, asked.factor))
    if asked.list:
        for mutant in mutants:
            _say(f"{mutant.name} {mutant}")
        return 0
    known = _known()
    again = [name for name, became in known.items() if asked.living and became == "lives"]
    for mutant in mutants:
        if mutant.reason:
            known[mutant.name] = "equivalent"
    wanted = [
        mutant
        for mutant in mutants
        if mutant.name not in known.keys() - set(again) and mutant.room in asked.rooms
    ]
    began = time.monotonic()
    if wanted:
        _run(wanted, began + 60 * asked.minutes, asked.processes)
    known |= _known()
    _say(f"\n{time.monotonic() - began:.0f} s")
    return _report(mutants, known)


def _asked() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="make mutants")
    words.add_argument("--seed", type=int, default=1, help="which sample is drawn")
    words.add_argument("--factor", type=float, default=1.0, help="times as many mutants")
    words.add_argument("--minutes", type=float, default=30.0, help="when to stop; run again then")
    words.add_argument("--processes", type=int, default=2, help="how many try mutants at once")
    words.add_argument("--rooms", nargs="+", choices=SHARES, default=list(SHARES))
    words.add_argument("--living", action="store_true", help="try those that lived once more")
    words.add_argument("--list", action="store_true", help="show the sample, try nothing")
    return words.parse_args()


def _in_turns(mutants: list[Mutant]) -> list[Mutant]:
    """The rooms' mutants evenly mixed, so that a run that ends early has seen all rooms; those that
    may live come last."""
    sizes = Counter(mutant.room for mutant in mutants)
    seen: Counter[str] = Counter()
    places = []
    for mutant in mutants:
        seen[mutant.room] += 1
        later = mutant.room not in NONE_LIVES_IN
        places.append((later, seen[mutant.room] / sizes[mutant.room]))
    return [mutant for _, mutant in sorted(zip(places, mutants, strict=True), key=itemgetter(0))]


def _known() -> dict[str, str]:
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    return {row["name"]: row["became"] for row in map(json.loads, lines)}


def _run(mutants: list[Mutant], ends_at: float, count: int) -> None:
    """Tries them in so many processes, each with a copy of its own."""
    load_libraries()
    missing = Recording(RECORDED).missing
    turn = _FORKS.Value("i", 0)
    recorded = _FORKS.Barrier(count)
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        workers = [
            _FORKS.Process(
                target=_work,
                args=(Path(name) / str(number), missing[number::count]),
                kwargs={"recorded": recorded, "turn": turn, "mutants": mutants, "ends_at": ends_at},
            )
            for number in range(count)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a process ended early: see above")


def _work(
    place: Path,
    missing: list[str],
    recorded: Any,
    *,
    mutants: list[Mutant],
    turn: Any,
    ends_at: float,
) -> None:
    place.mkdir()
    field = Field(ROOT, place)
    if missing:
        _say(f"recording which lines {len(missing)} files of tests run")
        field.record(missing, RECORDED)
    recorded.wait()
    recording = Recording(RECORDED)
    for test in recording.failed:
        _say(f"fails without a mutant, and judges none: {test}")
    baselines = Baselines(BASELINES)
    while time.monotonic() < ends_at:
        with turn.get_lock():
            number = turn.value
            turn.value += 1
        if number >= len(mutants):
            return
        mutant = mutants[number]
        began = time.monotonic()
        became, why = field.trial(mutant, recording, baselines)
        took = time.monotonic() - began
        if became != "unjudged":
            row = {"name": mutant.name, "became": became, "why": why, "what": str(mutant)}
            with KEPT.open("a") as kept:
                kept.write(json.dumps(row) + "\n")
        _say(f"{number + 1}/{len(mutants)} {took:.0f} s {became} {mutant} {why}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _report(mutants: list[Mutant], known: dict[str, str]) -> int:
    _say("\nroom                 planted  tried killed hangs equivalent lives")
    for room in SHARES:
        own = [mutant for mutant in mutants if mutant.room == room]
        found = Counter(known[mutant.name] for mutant in own if mutant.name in known)
        counts: list[Any] = [found[word] for word in _WORDS]
        line = "{:<20} {:>7} {:>6} {:>6} {:>5} {:>10} {:>5}"
        _say(line.format(room, len(own), found.total(), *counts))
    living = [mutant for mutant in mutants if known.get(mutant.name) == "lives"]
    for mutant in living:
        _say(f"lives: {mutant}")
    untried = sum(mutant.name not in known for mutant in mutants)
    if untried:
        _say(f"{untried} are still to be tried: run it again")
    return int(any(mutant.room in NONE_LIVES_IN for mutant in living))


if __name__ == "__main__":
    sys.exit(main())
