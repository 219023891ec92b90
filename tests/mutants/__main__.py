"""Plants mutants and tells which of them live: `make mutants`.

Works in a copy of the repository. What has been tried is kept in a file, so that a run that ended
goes on where it was. Each mutant is tried in a fork of this process, which has loaded the libraries
already, with the tests that tests/mutants/rooms.py chooses.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from operator import itemgetter
from pathlib import Path
from typing import Any

from tests.mutants.planting import Mutant, sample
from tests.mutants.rooms import SHARES, stages_of

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "var/mutants.jsonl"
LONGEST_S = 240
NONE_LIVES_IN = [room for room in SHARES if room != "services"]
_LIBRARIES = [
    "pytest",
    "pytest_asyncio",
    "pytest_django",
    "pytest_timeout",
    "hypothesis",
    "hypothesis.strategies",
    "django.db",
    "django.db.models",
    "django.test",
    "celery",
    "kombu",
    "aiohttp",
    "jinja2",
    "babel",
    "babel.dates",
    "phonenumbers",
    "psycopg",
    "redis",
    "structlog",
    "msgspec",
    "google.auth",
    "css_inline",
    "mjml",
    "inscriptis",
    "prometheus_client",
    "requests",
    "yarl",
    "email_validator",
    "dns.resolver",
    "jwt",
    "argon2",
    "uvicorn",
    "granian",
]
_OPTIONS = ["-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "--reuse-db", "--tb=no"]
_OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is loaded already


def main() -> int:
    """Tries the sample; 1 when a mutant lives that should not."""
    asked = _asked()
    for name in _LIBRARIES:
        importlib.import_module(name)
    os.chdir(ROOT)
    mutants = _in_turns(sample(asked.seed, asked.factor))
    if asked.list:
        for mutant in mutants:
            _say(f"{mutant.name} {mutant.module}:{mutant.line} {mutant.before} -> {mutant.after}")
        return 0
    known = _known()
    ends_at = time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        field = Field(Path(name))
        for number, mutant in enumerate(mutants, 1):
            if time.monotonic() >= ends_at:
                break
            if mutant.name in known and not (asked.living and known[mutant.name] == "lives"):
                continue
            became = "equivalent" if mutant.reason else field.trial(mutant)
            known[mutant.name] = became
            with KEPT.open("a") as kept:
                kept.write(json.dumps({"name": mutant.name, "became": became}) + "\n")
            where = f"{mutant.module.name}:{mutant.line}"
            _say(f"{number}/{len(mutants)} {became} {where} {mutant.before} -> {mutant.after}")
    return _report(mutants, known)


def _in_turns(mutants: list[Mutant]) -> list[Mutant]:
    """The rooms' mutants evenly mixed, so that a run that ends early has seen all rooms."""
    sizes = Counter(mutant.room for mutant in mutants)
    seen: Counter[str] = Counter()
    places = []
    for mutant in mutants:
        seen[mutant.room] += 1
        places.append(seen[mutant.room] / sizes[mutant.room])
    return [mutant for _, mutant in sorted(zip(places, mutants, strict=True), key=itemgetter(0))]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _asked() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="make mutants")
    words.add_argument("--seed", type=int, default=1, help="which sample is drawn")
    words.add_argument("--factor", type=float, default=1.0, help="times as many mutants")
    words.add_argument("--minutes", type=float, default=30.0, help="when to stop; run again then")
    words.add_argument("--living", action="store_true", help="try those that lived once more")
    words.add_argument("--list", action="store_true", help="show the sample, try nothing")
    return words.parse_args()


def _known() -> dict[str, str]:
    KEPT.parent.mkdir(exist_ok=True)
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    return {row["name"]: row["became"] for row in map(json.loads, lines)}


class Field:
    """A copy of the repository in which one module at a time is changed."""

    def __init__(self, place: Path) -> None:
        self._place = place / "copy"
        self._data = place / "data"
        self._ready = place / "ready"
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, self._place / name)
        for name in ("pyproject.toml", "docs", "deploy", "CHANGELOG.md", "README.md"):
            (self._place / name).symlink_to(ROOT / name)
        self._data.mkdir()
        status = self._tests(["tests/integration/queue/test_batches.py"])
        if status != 0:
            raise SystemExit("the tests fail without any mutant: see above")
        shutil.copytree(self._data, self._ready)

    def trial(self, mutant: Mutant) -> str:
        """`killed`, `lives` or `hangs`, which is killed by its time."""
        changed = self._place / mutant.module
        original = changed.read_text()
        changed.write_text(mutant.code)
        try:
            for tests in stages_of(mutant.room, mutant.module):
                status = self._tests(tests, quietly=True)
                if status is None:
                    return "hangs"
                if status != 0:
                    return "killed"
        finally:
            changed.write_text(original)
        return "lives"

    def _tests(self, tests: list[str], *, quietly: bool = False) -> int | None:
        """The exit status of pytest in a fork; None when it takes too long."""
        if self._ready.exists():
            shutil.rmtree(self._data)
            shutil.copytree(self._ready, self._data)
        child = os.fork()
        if child == 0:
            os._exit(self._run_here(tests, quietly=quietly))
        ends_at = time.monotonic() + LONGEST_S
        while time.monotonic() < ends_at:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None

    def _run_here(self, tests: list[str], *, quietly: bool) -> int:
        import pytest

        os.setpgid(0, 0)
        os.chdir(self._place)
        os.environ |= {
            "CARILLON_DATA_DIR": str(self._data),
            "TEST_DATABASE": "sqlite",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        sys.dont_write_bytecode = True
        sys.path[:] = [str(self._place), str(self._place / "src"), *_paths_but_ours()]
        for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
            del sys.modules[name]
        if quietly:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
        return int(pytest.main([*_OPTIONS, *tests]))


def _paths_but_ours() -> list[str]:
    return [path for path in sys.path if path and not Path(path).is_relative_to(ROOT / "src")]


def _report(mutants: list[Mutant], known: dict[str, str]) -> int:
    _say("\nroom                 planted  tried killed hangs equivalent lives")
    for room in SHARES:
        own = [mutant for mutant in mutants if mutant.room == room]
        found = Counter(known[mutant.name] for mutant in own if mutant.name in known)
        counts: list[Any] = [found[word] for word in ("killed", "hangs", "equivalent", "lives")]
        line = "{:<20} {:>7} {:>6} {:>6} {:>5} {:>10} {:>5}"
        _say(line.format(room, len(own), found.total(), *counts))
    living = [mutant for mutant in mutants if known.get(mutant.name) == "lives"]
    for mutant in living:
        _say(f"lives: {mutant.module}:{mutant.line} {mutant.before} -> {mutant.after}")
    untried = sum(mutant.name not in known for mutant in mutants)
    if untried:
        _say(f"{untried} are still to be tried: run it again")
    return int(any(mutant.room in NONE_LIVES_IN for mutant in living))


if __name__ == "__main__":
    sys.exit(main())
