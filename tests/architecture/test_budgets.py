"""Bounds of the source: lengths of files and functions, places of imports, forbidden texts."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for path in (ROOT / "src").rglob("*.py") if "migrations" not in path.parts]
TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_is_longer_than_four_hundred_lines():
    long = {name(p): n for p in SOURCES if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_no_test_file_is_longer_than_six_hundred_lines():
    tests = (ROOT / "tests").rglob("*.py")
    assert {name(p): n for p in tests if (n := len(p.read_text().splitlines())) > 600} == {}


def test_no_function_is_longer_than_sixty_lines():
    long = {
        f"{name(path)}:{node.name}": node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in functions(path)
        if node.end_lineno and node.end_lineno - node.lineno + 1 > 60
    }
    assert long == {}


def test_imports_are_at_the_top_except_in_commands_that_set_django_up_first():
    allowed = ("src/carillon/cli/", "src/carillon/bench/", "src/carillon/__init__.py")
    allowed += ("src/carillon/celery.py", "src/carillon/settings/test.py")
    inside = {
        f"{name(path)}:{node.name}"
        for path in SOURCES
        if not name(path).startswith(allowed)
        for node in functions(path)
        for statement in ast.walk(node)
        if isinstance(statement, ast.Import | ast.ImportFrom)
    }
    assert inside == set()


HOSTS = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|deb\.debian|docker\.io|ghcr\.io")
PLACES = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/")


@pytest.mark.parametrize("pattern", [HOSTS, PLACES], ids=["registry hosts", "machine paths"])
def test_no_tracked_file_names_a_registry_or_a_path_of_this_machine(pattern):
    found = {}
    for tracked in TRACKED:
        path = ROOT / tracked
        if path == Path(__file__) or not path.is_file() or path.suffix in (".png", ".woff2"):
            continue
        match = pattern.search(path.read_text(errors="replace"))
        if match:
            found[tracked] = match.group()
    assert found == {}


def test_no_source_has_an_unfinished_mark():
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    assert [name(path) for path in SOURCES if marks.search(path.read_text())] == []


def test_nothing_reads_through_a_cursor_that_outlives_its_statement():
    """PgBouncer's transaction mode drops such a cursor. Read in parts, by key."""
    users = {
        name(path)
        for path in SOURCES
        if not name(path).startswith("src/carillon/bench/") and ".iterator(" in path.read_text()
    }
    assert users == set()
