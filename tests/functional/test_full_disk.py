"""A disk that is full, on a file system of its own: needs root, and is skipped by name without."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.installation import Installation, wait_until
from tests.functional.web import Web, running

pytestmark = pytest.mark.processes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("a file system of its own needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Takes all the space that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


def test_a_full_disk_takes_nothing_in_is_named_by_health_and_forgotten_with_new_space(
    small_disk: Path,
) -> None:
    place = Installation(small_disk)
    place.prepare(demo=True)
    with running(place) as web:
        assert web.send().status == 201
        before = place.statuses()["pending"]

        filler = fill(small_disk)
        taken = sends_until_refused(web)
        wait_until(lambda: "disk is full" in str(web.get("/health").json["reasons"]), 8)
        assert web.get("/health/ready").status == 200
        assert web.get("/health/live").status == 200

        filler.unlink()
        wait_until(lambda: web.send().status == 201, 2)
        wait_until(lambda: "disk is full" not in str(web.get("/health").json["reasons"]), 8)
        assert place.statuses()["pending"] == before + taken + 1


def sends_until_refused(web: Web) -> int:
    """How many were taken in: what was written before is space that SQLite uses again."""
    for taken in range(5_000):
        answer = web.send()
        if answer.status == 503:
            assert answer.json["code"] == "database_unavailable"
            return taken
        assert answer.status == 201, answer.body
    raise AssertionError("the disk is never full")
