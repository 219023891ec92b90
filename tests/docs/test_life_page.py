"""The walks of docs/life-of-a-notification.md name files that exist, each at most twice."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.codes import ROOT

SOURCE = ROOT / "src/notifications"
PAGE = (ROOT / "docs/life-of-a-notification.md").read_text(encoding="utf-8")
WALKS = {"From the route to the commit": 15, "From the lease to the record": 20}
"""Section -> the least number of steps that a complete walk has."""
MOST_VISITS = 2
_STEP = re.compile(r"^\d+\. `([\w./<>]+\.py)`: ", re.MULTILINE)


def files_of(section: str) -> list[str]:
    """The files of a walk, in order."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    steps = _STEP.findall(text)
    assert len(steps) == len(re.findall(r"^\d+\. ", text, re.MULTILINE)), "a step names no file"
    return steps


def found(file: str) -> list[Path]:
    """The files that a name of the page means; `<vendor>` means every vendor."""
    return sorted(SOURCE.glob(re.sub(r"<\w+>", "*", file)))


@pytest.mark.parametrize("section", WALKS)
def test_every_file_of_a_walk_exists(section: str) -> None:
    files = files_of(section)
    assert len(files) >= WALKS[section]
    assert [file for file in files if not found(file)] == []


@pytest.mark.parametrize("section", WALKS)
def test_a_walk_visits_no_file_more_than_twice(section: str) -> None:
    visits = Counter(files_of(section))
    assert {file: count for file, count in visits.items() if count > MOST_VISITS} == {}
