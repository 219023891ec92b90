"""The periodic loops of real processes."""

from __future__ import annotations

import sqlite3
import urllib.request
from contextlib import closing

import pytest

from notifications.domain.loops import LOOPS
from tests.functional.installation import Installation, free_port, wait_until

pytestmark = pytest.mark.processes


def finished_by(place: Installation) -> dict[str, str]:
    """Returns the owner of each loop that finished a round, from the file, for fast polling."""
    with closing(sqlite3.connect(place.folder / "carillon.sqlite3")) as file:
        return dict(
            file.execute(
                "SELECT name, owner FROM notifications_periodicloop WHERE finished_at > claimed_at"
            )
        )


def responds(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=20):
            return True
    except OSError:
        return False


def test_the_next_worker_continues_the_loops_of_a_killed_one_at_once(tmp_path):
    place = Installation(tmp_path)
    place.prepare()
    with place.running("worker") as first:
        wait_until(lambda: len(finished_by(place)) == len(LOOPS))
        (before,) = set(finished_by(place).values())
        first.kill()
        first.wait()
    with place.running("worker"):
        wait_until(lambda: set(finished_by(place).values()).isdisjoint({before}))
        wait_until(lambda: len(finished_by(place)) == len(LOOPS))
        report = place.carillon("doctor").stdout
        assert "ok     loops         ok" in report
        assert "ok     beat          ok" in report


def tasks(place: Installation) -> list[tuple[str, int]]:
    """Returns state and attempts of the tasks in the database."""
    with closing(sqlite3.connect(place.folder / "carillon.sqlite3")) as file:
        return file.execute("SELECT state, attempts FROM notifications_queuedtask").fetchall()


def test_without_a_broker_the_worker_process_runs_tasks_and_no_web_process_does(tmp_path):
    place = Installation(tmp_path)
    place.prepare()
    port = free_port()
    script = (
        "from notifications.infra.process import wakeups\n"
        "from notifications.tasks import retry_failed_notifications\n"
        "retry_failed_notifications.delay()\n"
        "wakeups.flush()\n"
    )
    with place.running("web", "--port", str(port)):
        wait_until(lambda: responds(f"http://127.0.0.1:{port}/health/ready"))
        place.python(script)
        assert responds(f"http://127.0.0.1:{port}/health/live")
        assert tasks(place) == [("waiting", 0)]
        with place.running("worker"):
            wait_until(lambda: tasks(place) == [("done", 1)])
            place.python(script)
            wait_until(lambda: tasks(place) == [("done", 1)] * 2)
