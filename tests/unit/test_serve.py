"""The supervisor of `serve`: it restarts children that end, with pauses that grow."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from carillon.cli import processes, serve
from carillon.cli.serve import Child
from notifications.engine.watchdog import EXIT_CODE
from tests.architecture.test_budgets import ROOT


class Process:
    """A fake child process; the test sets its exit code."""

    started: list[list[str]] = []

    def __init__(self, words: list[str], **_: Any) -> None:
        self.returncode: int | None = None
        self.pid = 7
        self.killed = False
        Process.started.append(words)

    def kill(self) -> None:
        self.killed = True

    def poll(self) -> int | None:
        return self.returncode


@pytest.fixture
def now(monkeypatch: Any) -> list[float]:
    at = [1_000.0]
    monkeypatch.setattr(serve.subprocess, "Popen", Process)
    monkeypatch.setattr(serve.time, "monotonic", lambda: at[0])
    monkeypatch.setattr(Process, "started", [])
    return at


def seconds_until_restart(child: Child, now: list[float]) -> float:
    """Returns the seconds from a child's end to its restart."""
    began = now[0]
    while child.process is None:
        now[0] = round(now[0] + 0.1, 1)
        child.supervise(now[0])
    return round(now[0] - began, 1)


@pytest.mark.parametrize("code", [EXIT_CODE, 0, 1, -9])
def test_a_child_that_ends_is_restarted_at_once(now: list[float], code: int, capsys: Any) -> None:
    child = Child("worker")
    child.supervise(now[0])
    now[0] += 3_600
    child.process.returncode = code
    child.supervise(now[0])
    assert seconds_until_restart(child, now) <= 0.2
    assert f"worker ended ({code}); again in 0.2 s" in capsys.readouterr().err
    assert len(Process.started) == 2


def test_restarts_of_a_failing_child_wait_longer_up_to_a_bound(now: list[float]) -> None:
    child = Child("web", ["--port", "1"])
    child.supervise(now[0])
    pauses = []
    for _ in range(6):
        now[0] += 1
        child.process.returncode = 1
        child.supervise(now[0])
        pauses.append(seconds_until_restart(child, now))
    assert pauses == [0.2, 1, 5, 15, 15, 15]
    now[0] += 31  # it ran long enough to count as steady
    child.process.returncode = EXIT_CODE
    child.supervise(now[0])
    assert seconds_until_restart(child, now) == 0.2
    assert Process.started[0][-3:] == ["web", "--port", "1"]


def test_a_stopped_child_is_killed_unless_it_soon_continues(
    now: list[float], monkeypatch: Any
) -> None:
    """A watchdog that dies after it stopped its worker leaves the worker stopped."""
    still = [True]
    monkeypatch.setattr(serve, "is_stopped", lambda _pid: still[0])
    child = Child("worker")
    for seconds in (0, 1, 14):
        child.supervise(now[0] + seconds)
    still[0] = False
    child.supervise(now[0] + 15)
    still[0] = True
    child.supervise(now[0] + 20)
    assert not child.process.killed
    child.supervise(now[0] + 36)
    assert child.process.killed


def test_no_password_is_generated_before_the_port_is_bound(monkeypatch: Any) -> None:
    """The password is shown once, so a failed start must not show it."""
    done: list[str] = []
    for name in ("store_metrics_in_files", "setup_django"):
        monkeypatch.setattr(serve, name, lambda: None)
    monkeypatch.setattr(serve, "publish_address", lambda *_: None)
    monkeypatch.setattr(serve, "load_demo", lambda **_: done.append("demo"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(
            serve.command, ["--demo", "--port", str(taken.getsockname()[1])]
        )
    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1:" in result.output
    assert done == []


def test_make_run_serves_the_given_port() -> None:
    output = subprocess.run(
        ["make", "-n", "run", "PORT=8141"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "carillon serve --demo --port 8141" in output


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "http://127.0.0.1:8141"),
        ("0.0.0.0", "http://127.0.0.1:8141"),
        ("::", "http://127.0.0.1:8141"),
        ("::1", "http://[::1]:8141"),
    ],
)
def test_the_served_address_reaches_every_process_of_the_group(
    monkeypatch: Any, tmp_path: Path, host: str, shown: str
) -> None:
    monkeypatch.setattr(processes.os, "environ", {})
    processes.publish_address(host, 8141)
    assert processes.os.environ == {"CARILLON_SERVED_AT": shown}
    assert processes.stored_address(tmp_path) == ""
    processes.store_address(host, 8141, tmp_path)
    assert processes.stored_address(tmp_path) == shown
    assert (tmp_path / "web-address").stat().st_mode & 0o777 == 0o600
