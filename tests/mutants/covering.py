"""Records which tests run which lines, once without any mutant, and again for changed tests.

A line is identified by its module, its function and its text, so that the recording stays valid
when lines move. It is stored as rows of JSON, one for each test file; the last row counts.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

from tests.mutants.areas import SHARES, SOURCE, modules_of


def digest(*parts: str) -> str:
    """Returns a short hash of the parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


@functools.cache
def functions_of(text: str) -> list[tuple[int, int, str]]:
    """Returns (first line, last line, dotted name) of each function, outer before inner."""
    found: list[tuple[int, int, str]] = []

    def walk(node: ast.AST, prefix: str) -> None:
        for each in ast.iter_child_nodes(node):
            name = f"{prefix}{getattr(each, 'name', '')}"
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((each.lineno, each.end_lineno or each.lineno, name))
            named = isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            walk(each, f"{name}." if named else prefix)

    walk(ast.parse(text), "")
    return found


def function_at(text: str, line: int) -> str:
    """Returns the dotted name of the innermost function whose body has the line, or ""."""
    inside = [name for first, last, name in functions_of(text) if first < line <= last]
    return inside[-1] if inside else ""


class Recorder:
    """A pytest plugin that records which test runs which line of the copy, and how long it takes.

    A test is a function: all cases of a parametrized one count as one test.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._coverage = coverage.Coverage(
            data_file=None, include=[f"{place / SOURCE}/*"], config_file=False
        )
        self._took: defaultdict[str, float] = defaultdict(float)
        self._failed: set[str] = set()
        self._passed: set[str] = set()
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(_function(item.nodeid))
        try:
            return (yield)
        finally:
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = _function(report.nodeid)
        self._took[name] += report.duration
        if report.failed:
            self._failed.add(name)
        elif report.passed and report.when == "call":
            self._passed.add(name)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)

    def rows(self, files: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yields what was recorded, one row for each test file."""
        self._coverage.stop()
        seen: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for key, test in self._seen():
            seen[test.partition("::")[0]][key].add(test)
        for name in files:
            own = [test for test in self._took if test.partition("::")[0] == name]
            yield {
                "file": name,
                "text": digest(Path(name).read_text()),
                "took": {t: round(self._took[t], 3) for t in own if t in self._passed},
                "failed": sorted(t for t in self._failed if t.partition("::")[0] == name),
                "seen": {key: sorted(tests) for key, tests in seen[name].items()},
            }

    def _seen(self) -> Iterator[tuple[str, str]]:
        areas = {path for area in SHARES for path in modules_of(area)}
        data = self._coverage.get_data()
        for name in data.measured_files():
            module = Path(name).relative_to(self._place)
            text = module.read_text()
            lines = text.splitlines()
            for line, tests in data.contexts_by_lineno(name).items():
                function = function_at(text, line)
                if not function:
                    continue  # the first import runs it
                keys = [digest(str(module)), digest(str(module), function)]
                if module in areas:
                    keys.append(digest(str(module), function, lines[line - 1].strip()))
                yield from ((key, test) for test in tests if test for key in keys)


def _function(nodeid: str) -> str:
    return nodeid.partition("[")[0]


class Recording:
    """The recording of the tests: which tests run a line."""

    def __init__(self, path: Path, files: list[str], *, may_be_old: bool = False) -> None:
        """Reads the rows of `path` for those test files.

        may_be_old: also use rows of files that have changed: this run has a copy of the old files.
        """
        self._files = files
        #: Seconds of each test that passed.
        self.took: dict[str, float] = {}
        #: Tests that fail without a mutant.
        self.failed: list[str] = []
        #: Files that are new, or have changed since they were recorded.
        self.missing: list[str] = []
        self.seen: defaultdict[str, set[str]] = defaultdict(set)
        lines = path.read_text().splitlines() if path.exists() else []
        rows = {row["file"]: row for row in map(json.loads, lines)}
        for name in files:
            row = rows.get(name)
            is_old = row is None or row["text"] != digest(Path(name).read_text())
            if row is None or (is_old and not may_be_old):
                self.missing.append(name)
                continue
            self.took |= row["took"]
            self.failed += row["failed"]
            for key, tests in row["seen"].items():
                self.seen[key].update(tests)

    def tests_of(self, module: Path, line: int) -> list[str]:
        """Returns the tests that may detect a change of that line, the most promising first.

        Unit tests come first, then tests that name the module or are in a folder of its area's
        name. The files alternate, each with its fastest tests first.
        """
        running = self._running(module, line)
        naming = self._naming(module)
        # A cache may hide which tests run a line, and no test runs a constant.
        is_loaded = not function_at(module.read_text(), line)
        found = running | {t for t in naming if is_loaded or t.startswith("tests/unit")}
        ranks: defaultdict[str, int] = defaultdict(int)
        keyed = []
        for test in sorted(
            found & self.took.keys(), key=lambda t: (t not in running, self.took[t])
        ):
            name = test.partition("::")[0]
            ranks[name] += 1
            is_near = test in naming or module.parent.name in Path(name).parts
            distance = 0 if name.startswith("tests/unit") else 1 if is_near else 2
            keyed.append((distance, test not in running, ranks[name], self.took[test], test))
        return [test for *_, test in sorted(keyed)]

    def _running(self, module: Path, line: int) -> set[str]:
        text = module.read_text()
        function = function_at(text, line)
        own = digest(str(module))
        if not function:
            users = self._using(module, _bound_at(text, line))
            return users or self.seen[own]
        lines = text.splitlines()
        found: set[str] = set()
        for each in _statement_at(text, line):
            found |= self.seen[digest(str(module), function, lines[each - 1].strip())]
        return found or self.seen[digest(str(module), function)] or self.seen[own]

    def _using(self, module: Path, names: set[str]) -> set[str]:
        """Tests of the functions that mention one of the names bound in that module."""
        found: set[str] = set()
        words = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b") if names else None
        for path in sorted(SOURCE.rglob("*.py")) if words else []:
            text = path.read_text()
            if words is None or not words.search(text):
                continue
            if path != module and not re.search(rf"\b{module.stem}\b", text):
                continue
            lines = text.splitlines()
            for first, last, function in functions_of(text):
                if words.search("\n".join(lines[first - 1 : last])):
                    found |= self.seen[digest(str(path), function)]
        return found

    def _naming(self, module: Path) -> set[str]:
        """Tests in files that import the module."""
        dotted = ".".join(module.with_suffix("").parts[1:])
        package, _, name = dotted.rpartition(".")
        words = re.compile(
            rf"\b{re.escape(dotted)}\b|from {re.escape(package)} import [^\n]*\b{name}\b"
        )
        files = {each for each in self._files if words.search(Path(each).read_text())}
        return {test for test in self.took if test.partition("::")[0] in files}


@functools.cache
def _statements(text: str) -> list[ast.stmt]:
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]


def _innermost(text: str, line: int) -> ast.stmt | None:
    inside = [
        node
        for node in _statements(text)
        if _first_line(node) <= line <= (node.end_lineno or node.lineno)
    ]
    return max(inside, key=lambda node: (_first_line(node), -(node.end_lineno or 0)), default=None)


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])


def _statement_at(text: str, line: int) -> range:
    """The lines of the innermost statement; without the body of one that has a body."""
    node = _innermost(text, line)
    if node is None:
        return range(line, line + 1)
    body = getattr(node, "body", None)
    last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
    return range(_first_line(node), max(last, line) + 1)


def _bound_at(text: str, line: int) -> set[str]:
    """The names that the statement at that line binds, outside of functions."""
    node = _innermost(text, line)
    if node is None or isinstance(node, ast.ClassDef):
        return set()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    return {
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }
