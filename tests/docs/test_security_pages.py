"""The pages of security name tests that exist, and the table of ASVS has each requirement once."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.architecture.test_budgets import ROOT
from tests.docs.asvs import LEVELS

PAGES = sorted((ROOT / "docs/security").rglob("*.md"))
NODE = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
REASONS = (
    "Not applicable",
    "Unmet: ",
    "Met by absence: ",
    "By procedure: ",
    "Up to ",
    "To the service: ",
    "Sign-in is described",
    "By the sign-in of ",
)
LEVEL_1, LEVEL_2 = 70, 253
"""How many requirements the standard has at level 1, and at levels 1 and 2."""


@functools.cache
def names_in(path: str) -> frozenset[str]:
    """Returns the names of the functions of a file of tests; none for a file that is not there."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def unknown_nodes(text: str) -> list[str]:
    """Returns the tests that a text names and that do not exist."""
    found = NODE.findall(text)
    return [
        f"{path}::{name}"
        for path, name in found
        if not names_in(path) or (name and name not in names_in(path))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    assert unknown_nodes(page.read_text(encoding="utf-8")) == []


def test_a_test_that_does_not_exist_is_found() -> None:
    here = "tests/docs/test_security_pages.py"
    assert unknown_nodes(f"`{here}::test_a_test_that_does_not_exist_is_found`") == []
    assert unknown_nodes(f"`{here}::test_nothing`") == [f"{here}::test_nothing"]
    assert unknown_nodes("`tests/docs/test_nothing.py`") == ["tests/docs/test_nothing.py::"]


def rows() -> list[tuple[str, int, str, str]]:
    texts = [path.read_text(encoding="utf-8") for path in PAGES if path.parent.name == "asvs"]
    return [
        (number, int(level), about, how)
        for text in texts
        for number, level, about, how in ROW.findall(text)
    ]


def test_each_requirement_occurs_once_with_its_level() -> None:
    counts = Counter(number for number, *_ in rows())
    assert {number: count for number, count in counts.items() if count > 1} == {}
    assert {number: level for number, level, *_ in rows()} == LEVELS


def test_the_list_of_requirements_is_whole() -> None:
    assert len(LEVELS) == LEVEL_2
    assert sum(level == 1 for level in LEVELS.values()) == LEVEL_1


def test_each_requirement_has_a_test_a_page_or_a_reason() -> None:
    silent = [
        number
        for number, _, _, how in rows()
        if not NODE.search(how) and not how.startswith(REASONS) and "](" not in how
        and "make check" not in how
    ]  # fmt: skip
    assert silent == []


def test_what_is_unmet_is_in_the_summary() -> None:
    summary = (ROOT / "docs/security/asvs.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^- \*\*(\d+\.\d+\.\d+)\*\*", summary, re.MULTILINE))
    assert listed == {number for number, _, _, how in rows() if how.startswith("Unmet: ")}


def test_the_threat_model_names_a_test_or_a_residue_for_each_threat() -> None:
    text = (ROOT / "docs/security/threat_model.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| ([STRIDE]) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert {kind for kind, *_ in found} == set("STRIDE")
    assert [about for _, about, tests, _ in found if not NODE.search(tests)] == []
    assert [about for _, about, _, residue in found if not residue.strip()] == []
