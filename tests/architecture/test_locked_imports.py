"""The locked requirements contain every library that the tests and tools import."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.architecture.test_budgets import ROOT

OWN = frozenset({"carillon", "console", "directory", "notifications", "tests", "vault"})


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _locked() -> set[str]:
    text = (ROOT / "requirements/dev.txt").read_text()
    return {_name(found) for found in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


def _name(given: str) -> str:
    """Returns the normal form of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", given).lower()


def test_every_library_that_the_tests_import_is_locked() -> None:
    modules = {name for path in ROOT.glob("tests/**/*.py") for name in _imported(path)}
    others = modules - OWN - sys.stdlib_module_names
    made_by, locked = packages_distributions(), _locked()

    missing = {
        name for name in others if not locked & {_name(each) for each in made_by.get(name, [name])}
    }

    assert missing == set()
