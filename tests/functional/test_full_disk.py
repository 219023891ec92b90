"""A full disk, on its own file system. The test needs root, and is skipped without it."""

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
    """Mounts a file system of 64 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("a file system of its own needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Uses all remaining space."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


def test_a_full_disk_refuses_requests_and_health_reports_it_until_there_is_space(
    small_disk: Path,
) -> None:
    place = Installation(small_disk)
    place.prepare(demo=True)
    with running(place) as web:
        assert web.send().status == 201
        before = place.statuses()["pending"]

        filler = fill(small_disk)
        accepted = sends_until_refused(web)
        wait_until(lambda: "disk is full" in str(web.get("/health").json["reasons"]), 8)
        assert web.get("/health/ready").status == 200
        assert web.get("/health/live").status == 200

        filler.unlink()
        wait_until(lambda: web.send().status == 201, 2)
        wait_until(lambda: "disk is full" not in str(web.get("/health").json["reasons"]), 8)
        assert place.statuses()["pending"] == before + accepted + 1


def sends_until_refused(web: Web) -> int:
    """Returns how many requests were accepted: SQLite reuses space of earlier writes."""
    for accepted in range(5_000):
        response = web.send()
        if response.status == 503:
            assert response.json["code"] == "database_unavailable"
            return accepted
        assert response.status == 201, response.body
    raise AssertionError("the disk is never full")
