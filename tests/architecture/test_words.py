"""Words and names: no household metaphor comes back, and a public name has one meaning."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.architecture.test_budgets import ROOT

WORDS = {
    "asking": "polling, requesting",
    "desk": "dispatcher",
    "elder": "earlier",
    "errand": "task",
    "flown": "dispatched",
    "ground": "abandon, base",
    "heir": "successor",
    "keeper": "owner, store",
    "kept": "stored, retained",
    "knock": "call, probe",
    "landed": "recorded, settled",
    "lest": "so that ... not",
    "mend": "fix, correct",
    "mended": "fixed, corrected",
    "nobody": "no one, anonymous",
    "restraint": "limit, throttle",
    "stance": "preference state",
    "telling": "reporting",
    "told": "reported",
    "untold": "unrecorded",
    "whoever": "the one who",
    "whosoever": "the one who",
    "wishes": "preferences",
}
"""A word that no name, docstring, comment, text or page uses: what to write in its place."""

SKIPPED = re.compile(
    r"/migrations/|/static/|^docs/glossary\.md|^CHANGELOG\.md|renamed_codes\.py"
    r"|settings/renamed\.py|architecture/test_words\.py"
)
DATABASE_NAMES = {"webhook_told_once", 'db_column="told"', "0002_ground", "lay_ground"}
"""Names in a database, or in a migration. To rename one would stop a rolling upgrade."""

SUFFIXES = {".py", ".md", ".html", ".txt", ".toml", ".po", ".js", ".ts"}
PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def _sources() -> list[Path]:
    """Returns every text file of the product, its tests and its pages."""
    tops = (ROOT / "src", ROOT / "tests", ROOT / "docs", ROOT / "deploy", ROOT / "clients")
    found = [path for top in tops for path in top.rglob("*") if path.suffix in SUFFIXES]
    found += ROOT.glob("*.md")
    plain = (p for p in found if not {"node_modules", "dist"} & set(p.parts))
    return [p for p in sorted(plain) if not SKIPPED.search(p.relative_to(ROOT).as_posix())]


def words_of(line: str) -> set[str]:
    """Returns the words of a line in lower case. Identifiers are split at `_` and at capitals."""
    for name in DATABASE_NAMES:
        line = line.replace(name, "")
    return {part.lower() for part in PART.findall(line)}


@pytest.mark.parametrize(
    "line", ["def no_heir(x)", "class DeskState:", "# it was told", "KNOCK = 1"]
)
def test_a_word_is_found_in_text_and_in_names(line: str) -> None:
    assert words_of(line) & set(WORDS)


def test_no_listed_word_is_used() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word}: write {WORDS[word]}"
        for path in _sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for word in sorted(words_of(line) & set(WORDS))
    ]
    assert found == []


def _public_classes() -> dict[str, list[str]]:
    """Returns the modules of every public class of the product, by the name of the class."""
    found = defaultdict(list)
    for path in sorted((ROOT / "src").rglob("*.py")):
        if "migrations" in path.parts:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path.relative_to(ROOT / "src").as_posix())
    return found


def test_no_two_public_classes_share_a_name() -> None:
    allowed = {
        "DatabaseWrapper",  # Django requires this name of each database backend
        "Settings",  # of each vendor's folder
        "NotificationMessage",  # documented in notifications.queue and in notifications.models
    }
    shared = {k: v for k, v in _public_classes().items() if len(v) > 1 and k not in allowed}
    assert shared == {}
