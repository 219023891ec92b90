"""The first process of a container continues in a child, which its watchdog can kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from textwrap import dedent

import pytest

pytestmark = pytest.mark.processes
FIRST = """
import os, sys
from carillon.cli.processes import leave_pid_one
os.getpid = lambda: 1
sys.orig_argv = [sys.executable, "-c", CHILD]
leave_pid_one()
print("not reached")
"""


def first_process(child: str) -> subprocess.Popen[str]:
    script = f"CHILD = {dedent(child)!r}\n{FIRST}"
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("child", "code"),
    [
        ("print('ready', flush=True)", 0),
        ("print('ready', flush=True); raise SystemExit(3)", 3),
        ("import os; print('ready', flush=True); os.kill(os.getpid(), 9)", 128 + 9),
    ],
    ids=["success", "a code", "killed"],
)
def test_the_first_process_ends_with_the_status_of_its_child(child: str, code: int) -> None:
    process = first_process(child)

    output, _ = process.communicate(timeout=60)

    assert (output, process.returncode) == ("ready\n", code)


def test_the_first_process_passes_signals_on_and_reaps_orphans() -> None:
    waiting = """
        import signal, subprocess, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        subprocess.run(["true"])
        print("ready", flush=True)
        signal.pause()
    """
    with first_process(waiting) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == 7


def test_other_processes_continue_without_a_child() -> None:
    script = "from carillon.cli.processes import leave_pid_one; leave_pid_one(); print('here')"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == "here\n"
