"""A render that blocks its worker's interpreter: the watchdog kills the worker.

The version is stopped for the source.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.functional.installation import Installation, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]
SETUP = """
from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.scopes import ALL_SCOPES
from notifications.models import *
from notifications.services import NotificationService
system = Category.objects.get(key="payment")
for path in ("test.blocked", "test.good"):
    NotificationTemplate.objects.create(
        path=path, name=path, category=system, supported_channels=["email"],
        required_variables=["word"], email_subject_template="x",
        email_body_template="{{ word|wordcount }}",
    )
reader = User.objects.create(username="reader", email="reader@example.com")
def send(path, word, source):
    body = {"template_path": path, "user_id": reader.pk, "channel": "email",
            "context": {"word": word}}
    caller = Caller(name=source, is_service=True, is_staff=True, scopes=ALL_SCOPES)
    NotificationService().send(body=body, caller=caller)
"""


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(tmp_path)
    made.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = made.carillon("migrate")
    assert done.returncode == 0, done.stderr
    return made


def evaluate(installation: Installation, expression: str) -> Any:
    script = f"import json; from notifications.models import *; print(json.dumps({expression}))"
    return json.loads(installation.python(script))


def stops(installation: Installation) -> list[list[str]]:
    return evaluate(
        installation, "list(map(list, KillSwitch.objects.values_list('scope', 'value')))"
    )


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_worker_with_a_blocked_interpreter_is_killed_and_the_version_stopped_for_its_source(
    installation: Installation,
) -> None:
    installation.python(SETUP + "send('test.blocked', 'hold', 'key:1')\n")
    with installation.running("worker", module="tests.functional.blocking_worker") as worker:
        wait_until(lambda: worker.poll() is not None, 60)
        assert worker.returncode == -signal.SIGKILL
    version = evaluate(
        installation, "NotificationTemplate.objects.get(path='test.blocked').current_version_id"
    )
    # Another thread may have held SQLite's lock: then the record follows the kill.
    wait_until(lambda: stops(installation) == [["version", f"{version}@key:1"]], 60)

    installation.python(
        SETUP.partition("system =")[0]
        + "reader = User.objects.get(username='reader')\n"
        + SETUP[SETUP.index("def send") :]
        + "send('test.blocked', 'hold', 'key:1')\n"
        + "send('test.blocked', 'fine', 'key:2')\n"
        + "send('test.good', 'fine', 'key:1')\n"
    )
    with installation.running("worker", module="tests.functional.blocking_worker") as worker:
        wait_until(lambda: installation.statuses().get("sent") == 2, 60)
        assert worker.poll() is None
    assert installation.statuses()["pending"] == 2


def test_the_watchdog_is_small_and_idle_and_ends_with_its_worker(
    installation: Installation,
) -> None:
    with installation.running("worker") as worker:
        wait_until(lambda: children(worker.pid))
        (pid,) = children(worker.pid)
        wait_until(lambda: b"process" in Path(f"/proc/{pid}/cmdline").read_bytes())
        wait_until(lambda: _waits_for_a_byte(pid))
        before = cpu(pid)
        rss = next(
            int(line.split()[1])
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmRSS")
        )
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 1)
        assert cpu(pid) == before
        assert rss < 20_000  # kB, most of it shared with the interpreter
        worker.kill()
        worker.wait(20)
        wait_until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))


def _waits_for_a_byte(pid: int) -> bool:
    """Returns whether a process sleeps without a timeout."""
    before = cpu(pid)
    began = time.monotonic()
    switches = _switches(pid)
    wait_until(lambda: time.monotonic() > began + 0.6)
    return cpu(pid) == before and _switches(pid) == switches


def _switches(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith("voluntary_ctxt_switches"))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
