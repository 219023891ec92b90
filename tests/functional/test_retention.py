"""Storage by age in processes: killed in the middle of a step, and two of them at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from carillon.bench.harness.environment import BenchEnvironment, Observer, bench_environment
from tests.functional.installation import wait_until

pytestmark = pytest.mark.processes
OLD = 20_000
ROWS_A_MESSAGE = 4

CHECK = """
import json
from django.db import connection
TABLES = ("notification", "notificationmessage", "deliveryattempt", "messageevent")
with connection.cursor() as cursor:
    def count(sql):
        cursor.execute(sql)
        return cursor.fetchone()[0]
    left = {name: count(f"SELECT count(*) FROM notifications_{name}") for name in TABLES}
    done = count("SELECT coalesce(sum(done), 0) FROM notifications_retentionprogress")
print(json.dumps({"left": left, "done": int(done)}))
"""


def start_run(env: BenchEnvironment) -> subprocess.Popen[bytes]:
    """Starts `carillon retention run`."""
    return subprocess.Popen(
        [sys.executable, "-m", "carillon", "retention", "run"],
        env=env.environ,
        cwd=env.folder,
        stdout=subprocess.DEVNULL,
    )


def check(env: BenchEnvironment) -> Any:
    """Returns the rows that are left by table, and the rows that were done."""
    words = [sys.executable, "-c", f"import django\ndjango.setup()\n{CHECK}"]
    found = subprocess.run(words, env=env.environ, capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_killed_and_shared_rounds_leave_no_half_notification(database: str) -> None:
    with bench_environment(database) as env:
        last = env.run("aged", OLD, 400)["last_key"]
        observer = Observer(env, "ageing_observer")

        def done() -> int:
            count: int = observer.query("state", "facts", str(last))["done"]
            return count

        first = start_run(env)
        wait_until(lambda: done() > 0)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()

        found = check(env)
        left = set(found["left"].values())
        assert len(left) == 1, "each table has the rows of the same notifications"
        assert found["done"] == (OLD - left.pop()) * ROWS_A_MESSAGE

        both = [start_run(env), start_run(env)]
        wait_until(lambda: None not in [each.poll() for each in both], 120)
        assert [each.returncode for each in both] == [0, 0]
        found = check(env)
        assert set(found["left"].values()) == {0}
        assert found["done"] == OLD * ROWS_A_MESSAGE
        observer.query("end")
