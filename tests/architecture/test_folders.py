"""Packages stay small: few modules at the top, few files in a folder, short functions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median, quantiles

from tests.architecture.test_budgets import ROOT, SOURCES, functions, name

SERVICE = ROOT / "src/notifications"
MOST_AT_THE_TOP = 6
MOST_IN_A_FOLDER = 15
MOST_OF_ONE_KIND = 35
OF_ONE_KIND = {
    "src/notifications/api",
    "src/notifications/domain",
    "src/carillon/cli",
}
"""Flat lists: one file for each noun of the API, rule of the domain, or command."""
SHORTEST_HALF, SHORTEST_NINE_TENTHS, LONGEST = 8, 22, 60


def crowded(files: list[Path]) -> dict[str, int]:
    """Returns the folders with too many files, and their number of files."""
    counts = Counter(name(path.parent) for path in files)
    return {
        folder: count
        for folder, count in counts.items()
        if count > (MOST_OF_ONE_KIND if folder in OF_ONE_KIND else MOST_IN_A_FOLDER)
    }


def test_few_modules_are_at_the_top_beside_the_packages():
    modules = sorted(path.name for path in SERVICE.glob("*.py") if path.name != "__init__.py")
    assert len(modules) <= MOST_AT_THE_TOP, modules


def test_no_folder_is_crowded():
    assert crowded(SOURCES) == {}


def test_one_file_too_many_is_found():
    stage = [ROOT / f"src/notifications/intake/planted_{number}.py" for number in range(16)]
    nouns = [ROOT / f"src/notifications/api/planted_{number}.py" for number in range(36)]
    assert crowded(stage) == {"src/notifications/intake": 16}
    assert crowded(stage[:-1] + nouns[:-1]) == {}
    assert crowded(nouns) == {"src/notifications/api": 36}


def test_every_folder_with_a_higher_limit_exists():
    assert [folder for folder in OF_ONE_KIND if not (ROOT / folder).is_dir()] == []


def test_functions_are_short():
    lengths = [
        node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in functions(path)
        if node.end_lineno
    ]
    assert median(lengths) <= SHORTEST_HALF
    assert quantiles(lengths, n=10)[-1] <= SHORTEST_NINE_TENTHS
    assert max(lengths) <= LONGEST
