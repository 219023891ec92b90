"""The locked requirements can be audited: exact versions, hashes, no place but the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.test_budgets import ROOT

FILES = sorted((ROOT / "requirements").glob("*.txt"))
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}$")


def entries(path: Path) -> list[tuple[Requirement, list[str]]]:
    """Reads a file as pip and pip-audit do: requirements with their hashes, comments left out."""
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(" #")[0].strip() for line in joined.splitlines()]
    found = []
    for line in lines:
        if line and not line.startswith("#"):
            text, *options = re.split(r"\s+(?=--)", line)
            found.append((Requirement(text.strip()), options))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_requirement_is_pinned_with_hashes(path: Path) -> None:
    read = entries(path)
    assert read
    for requirement, options in read:
        (pin,) = requirement.specifier
        assert pin.operator == "==", requirement
        assert "*" not in pin.version
        assert options, requirement
        assert all(_HASH.fullmatch(option) for option in options), requirement
        assert requirement.url is None, requirement


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_a_place_to_download_from(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    plain = "\n".join(line for line in text.splitlines() if not line.strip().startswith("#"))
    for word in (
        "://",
        "--index",
        "--extra-index",
        "--find-links",
        "--trusted-host",
        "-e ",
        "git+",
    ):
        assert word not in plain, word


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_package_has_one_version_on_each_platform(path: Path) -> None:
    seen: dict[str, set[str]] = {}
    for requirement, _ in entries(path):
        name = canonicalize_name(requirement.name)
        assert str(requirement.marker) not in seen.setdefault(name, set()), name
        seen[name].add(str(requirement.marker))


def test_what_serves_is_part_of_what_is_tested() -> None:
    """So an audit of dev.txt covers run.txt, with the same versions."""
    run = {(each.name, str(each.specifier)) for each, _ in entries(ROOT / "requirements/run.txt")}
    dev = {(each.name, str(each.specifier)) for each, _ in entries(ROOT / "requirements/dev.txt")}
    assert run <= dev
