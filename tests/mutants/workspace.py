"""A copy of the repository in which one module at a time is changed, and runs of tests there."""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.mutants.covering import Recorder, Recording, digest
from tests.mutants.planting import Mutant
from tests.mutants.warm import Swaps, Warm, swaps_of

COLD_S = (2.0, 10.0)
WARM_S = (0.5, 3.0, 12.0)
"""Seconds of tests in each stage. Most mutants are killed in the first; a survivor runs all stages.
A warm stage costs almost nothing, so it may be short."""
FIRST = "tests/integration/queue/test_batches.py"
"""These tests create the database."""
PATIENCE = 3
"""A mutant hangs if its tests need more than this many times their usual CPU time."""
WAITING = 10
"""The limit of wall time, as a multiple of the limit of CPU time: a machine may be busy."""
UNBOUNDED_S = 3600.0
_CUT_OFF = (signal.SIGXCPU, signal.SIGKILL)
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
_OPTIONS = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist", "--reuse-db"]
_OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is already loaded
_OPTIONS += ["--continue-on-collection-errors"]  # a copy has no Git
_OPTIONS += [
    "-m",
    "not processes and not browser and not proof",
]  # they run other code, or take long
Trial = Callable[[Mutant], tuple[str, str] | None]


def load_libraries() -> None:
    """Imports the libraries that every trial needs, so that its fork has them."""
    for name in _LIBRARIES:
        importlib.import_module(name)


class Workspace:
    """A copy of `root` at `place`. Its bytecode stays, so that a trial compiles one module."""

    def __init__(self, root: Path, place: Path) -> None:
        self._root = root
        self._place = place / "copy"
        self._data = place / "data"
        self._ready = place / "ready"
        self._report = place / "report"
        self._changes = 0
        self._spent_s = 0.0
        for name in ("src", "tests"):
            shutil.copytree(
                root / name, self._place / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in ("pyproject.toml", "docs", "deploy", "CHANGELOG.md", "README.md"):
            (self._place / name).symlink_to(root / name)
        self._data.mkdir()
        if self._fork(lambda: self._pytest([FIRST], writes=True), UNBOUNDED_S) != 0:
            raise SystemExit("the tests fail without any mutant: see above")
        shutil.copytree(self._data, self._ready)

    def record(self, files: list[str], path: Path) -> None:
        """Appends to `path` which test of those files runs which line."""

        def recorded() -> int:
            recorder = Recorder(self._place)
            self._pytest(files, [recorder], writes=True)
            with path.open("a") as written:
                for row in recorder.rows(files):
                    written.write(json.dumps(row) + "\n")
            return 0

        if self._fork(recorded, UNBOUNDED_S) != 0:
            raise SystemExit("the recording of the tests ended early")

    def trial(self, mutant: Mutant, tests: Recording, baselines: Baselines) -> tuple[str, str]:
        """Returns (result, reason) of a mutant.

        The result is `killed`, `hangs` (killed by its time), `lives`, or `unjudged` if its tests
        fail without it.
        """

        def changed(stage: list[str], limit_s: float) -> int | None:
            with self._changed(mutant):
                return self._status(stage, limit_s)

        tried_by = tests.tests_of(mutant.module, mutant.line)
        stages = list(stages_of(tried_by, tests.took, COLD_S))
        became = judge(stages, lambda stage: baselines.seconds(stage, self._seconds), changed)
        if became in ("killed", "unjudged"):
            return became, self._failing()
        return became, "" if stages else "no test runs it"

    def _seconds(self, stage: list[str]) -> float | None:
        """Returns the CPU time of these tests without a mutant; None if one of them fails."""
        return self._spent_s if self._status(stage, UNBOUNDED_S) == 0 else None

    def _status(self, stage: list[str], limit_s: float) -> int | None:
        return self._fork(lambda: self._pytest(["-x", *stage], writes=False), limit_s, quiet=True)

    def serve(
        self, recording: Recording, baselines: Baselines, try_each: Callable[[Trial], None]
    ) -> None:
        """Calls try_each in a process that has collected all tests, with a much faster trial.

        That trial returns None for code that runs when a module is loaded: `trial` must try it.
        """
        files = sorted({test.partition("::")[0] for test in recording.took})
        first = next(test for test in recording.took if test.startswith(FIRST))

        def serve(warm: Warm) -> None:
            shutil.rmtree(self._ready)
            shutil.copytree(self._data, self._ready)
            try_each(lambda mutant: self._warm_trial(mutant, warm, recording, baselines))

        warm_up = Warm(self._place / "src", first, self._report, serve)

        def collected() -> int:
            return self._pytest(files, [warm_up], writes=False)

        saved = self._place / "saved"
        shutil.copytree(self._ready, saved)
        if self._fork(collected, UNBOUNDED_S) != 0:
            raise SystemExit("the process that collects all tests ended early")
        shutil.rmtree(self._ready)
        saved.rename(self._ready)

    def _warm_trial(
        self, mutant: Mutant, warm: Warm, recording: Recording, baselines: Baselines
    ) -> tuple[str, str] | None:
        path = self._place / mutant.module
        swaps = swaps_of(path, path.read_text(), mutant.code)
        if swaps is None:
            return None

        def status(stage: list[str], limit_s: float, swaps: Swaps = swaps) -> int | None:
            return self._fork(lambda: warm.run(stage, swaps), limit_s, quiet=True, cold=False)

        def seconds(stage: list[str]) -> float | None:
            return self._spent_s if status(stage, UNBOUNDED_S, []) == 0 else None

        tests = recording.tests_of(mutant.module, mutant.line)
        stages = stages_of(tests, recording.took, WARM_S)
        became = judge(stages, lambda stage: baselines.seconds(stage, seconds, "warm"), status)
        return became, self._failing() if became in ("killed", "unjudged") else ""

    def _failing(self) -> str:
        """Returns the test that failed last, from the output of pytest."""
        lines = self._report.read_text(errors="replace").splitlines()
        named = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
        return (named or lines or [""])[-1][:200]

    @contextmanager
    def _changed(self, mutant: Mutant) -> Iterator[None]:
        changed = self._place / mutant.module
        original, was = changed.read_text(), changed.stat()
        changed.write_text(mutant.code)
        self._changes += 1
        # Bytecode is identified by time and size: no two changes may share both.
        os.utime(changed, (self._changes, self._changes))
        try:
            yield
        finally:
            changed.write_text(original)
            os.utime(changed, ns=(was.st_atime_ns, was.st_mtime_ns))

    def _fork(
        self, work: Callable[[], int], limit_s: float, *, quiet: bool = False, cold: bool = True
    ) -> int | None:
        """Returns the exit status of `work` in a fork; None if it needs more CPU time than limit_s.

        cold: this process has not loaded anything of the copy.
        """
        if self._ready.exists():
            shutil.rmtree(self._data)
            shutil.copytree(self._ready, self._data)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setpgid(0, 0)
                resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s), int(limit_s) + 1))
                if quiet:
                    self._redirect_output()
                if cold:
                    self._enter_copy()
                status = work()
            finally:
                os._exit(status)
        ends_at = time.monotonic() + WAITING * limit_s
        ended, status, spent = 0, 0, None
        while not ended and time.monotonic() < ends_at:
            time.sleep(0.02)
            ended, status, spent = os.wait4(child, os.WNOHANG)
        with suppress(ProcessLookupError):  # and its own child processes
            os.killpg(child, signal.SIGKILL)
        if not ended:
            os.waitpid(child, 0)
        if spent is None or (ended and os.WIFSIGNALED(status) and os.WTERMSIG(status) in _CUT_OFF):
            return None
        self._spent_s = spent.ru_utime + spent.ru_stime
        return os.waitstatus_to_exitcode(status) if ended else None

    def _redirect_output(self) -> None:
        report = os.open(self._report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(report, 1)
        os.dup2(report, 2)

    def _enter_copy(self) -> None:
        os.chdir(self._place)
        source = str(self._place / "src")
        os.environ |= {
            "CARILLON_DATA_DIR": str(self._data),
            "CARILLON_KEYS_DIR": str(self._data / "keys"),
            "TEST_DATABASE": "sqlite",
            "PYTHONPATH": source,
        }
        own = self._root / "src"
        others = [path for path in sys.path if path and not Path(path).is_relative_to(own)]
        sys.path[:] = [str(self._place), source, *others]
        for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
            del sys.modules[name]

    def _pytest(self, words: list[str], plugins: Iterable[Any] = (), *, writes: bool) -> int:
        import pytest

        sys.dont_write_bytecode = not writes
        return int(pytest.main([*_OPTIONS, "--tb=line", *words], plugins=list(plugins)))


class Baselines:
    """Which stages of tests pass without a mutant, and their CPU time.

    Stages that passed are stored in a file; the next run tries a failed one again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        self._known: dict[str, float | None] = {row["stage"]: row["took"] for row in rows}

    def seconds(
        self, stage: list[str], measure: Callable[[list[str]], float | None], kind: str = ""
    ) -> float | None:
        """Returns the CPU time of a stage, measured once for the present text of its tests."""
        files = sorted({test.partition("::")[0] for test in stage})
        name = digest(kind, *stage, *(Path(each).read_text() for each in files))
        if name not in self._known:
            took = measure(stage)
            self._known[name] = took
            if took is not None:
                with self._path.open("a") as rows:
                    rows.write(json.dumps({"stage": name, "took": round(took, 2)}) + "\n")
        return self._known[name]


def judge(
    stages: Iterable[list[str]],
    unchanged_s: Callable[[list[str]], float | None],
    changed: Callable[[list[str], float], int | None],
) -> str:
    """Returns the result of a mutant. A stage of tests counts only if it passes without the mutant.

    Args:
        unchanged_s: returns the CPU time of a stage without the mutant; None if it fails.
        changed: returns pytest's status with the mutant, given a limit of CPU time; None if the
            stage needs more.
    """
    for stage in stages:
        took = unchanged_s(stage)
        if took is None:
            return "unjudged"
        status = changed(stage, PATIENCE * took + 10)
        if status is None:
            return "hangs"
        if status != 0:
            return "killed"
    return "lives"


def stages_of(
    tests: Iterable[str], took: dict[str, float], limits_s: Iterable[float]
) -> Iterator[list[str]]:
    """Yields the tests in stages of so many seconds, each in the order of files.

    Tests that remain after the last stage do not run.
    """
    left = iter(tests)
    for limit in limits_s:
        stage: list[str] = []
        spent = 0.0
        for test in left:
            stage.append(test)
            spent += took[test]
            if spent >= limit:
                break
        if stage:
            files = list(dict.fromkeys(test.partition("::")[0] for test in stage))
            yield sorted(stage, key=lambda test: files.index(test.partition("::")[0]))
