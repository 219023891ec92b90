"""A file has its name only when it is complete; no file of somebody else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from notifications.infra.files import DRAFT, whole_file


def test_a_complete_file_has_its_name_and_its_owners_rights(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    with whole_file(path) as file:
        file.write(b"{}")
        assert not path.exists()
    assert path.read_bytes() == b"{}"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_file_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "export.json"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text("mine")
    with pytest.raises(FileExistsError), whole_file(path):
        pass
    assert path.read_text() == "mine"


def test_a_file_whose_name_ends_as_drafts_do_stays(tmp_path: Path) -> None:
    """The path may be anything that a person typed."""
    mine = tmp_path / f"export.json{DRAFT}"
    mine.write_text("mine")
    with whole_file(tmp_path / "export.json") as file:
        file.write(b"{}")
    assert mine.read_text() == "mine"
