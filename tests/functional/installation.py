"""An installation for tests that start the product's own commands."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from carillon.bench.harness.environment import bare_environ
from tests.functional.script_host import run_script
from tests.pace import crowd, pace
from tests.prepared import prepared


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(true: Callable[[], object], seconds: float = 40) -> None:
    """Polls until `true` returns a true value.

    The deadline grows with the slowness of the machine at that time.
    """
    began = time.monotonic()
    while not true():
        took = time.monotonic() - began
        assert took < seconds or took < seconds * max(pace(), crowd()), f"not within {took:g} s"
        time.sleep(0.05)


def children(pid: int) -> dict[str, int]:
    """Returns the child processes of a process, by their `carillon` subcommand."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        if "carillon" in words:  # a dead or new process has no command line
            found[words[words.index("carillon") + 1]] = int(child)
    return found


def _wait_for_end(process: subprocess.Popen[bytes]) -> None:
    """Waits until a process that got SIGTERM has ended.

    One that does not end writes the stacks of its threads, and of its children, into its log.
    """
    try:
        wait_until(lambda: process.poll() is not None, 60)
    except AssertionError:
        for pid in (*descendants(process.pid), process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGABRT)
        process.wait(10)
        raise


def descendants(pid: int) -> list[int]:
    """Returns the children of a process and theirs, the youngest first."""
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [each for word in words for each in (*descendants(int(word)), int(word))]


_PATIENT = {"CARILLON_DATABASE_LOCK_TIMEOUT_SECONDS": "60"}
"""Of commands and scripts: a disk may pause for seconds, and they do not repeat a transaction."""


class Installation:
    """A data folder and an environment; `carillon(...)` runs a command in it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.environ = {
            **bare_environ(),
            "CARILLON_DATA_DIR": str(folder),
            "CARILLON_KEYS_DIR": str(folder / "keys"),
            "CARILLON_LOG_LEVEL": "ERROR",
            "PYTHONFAULTHANDLER": "1",
            **{f"CARILLON_{name.upper()}": value for name, value in settings.items()},
        }
        self.folder = folder

    def prepare(self, *, demo: bool = False) -> None:
        """Migrates, and loads the demo data on request. On SQLite, copies a prepared folder."""
        if "CARILLON_DATABASE_URL" in self.environ:
            ready = self.carillon(*(("demo", "--quiet") if demo else ("migrate",)))
            assert ready.returncode == 0, ready.stderr
        else:
            shutil.copytree(prepared("demo" if demo else "sqlite"), self.folder, dirs_exist_ok=True)

    def carillon(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "carillon", *words],
            env={**_PATIENT, **self.environ},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120 * max(pace(), crowd()),
            check=False,
        )

    @contextmanager
    def running(self, *words: str, module: str = "carillon") -> Iterator[subprocess.Popen[bytes]]:
        """Runs a command until the block ends; its output goes to a file."""
        log = (self.folder / f"{words[0]}-{os.urandom(3).hex()}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                env=self.environ,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()
                _wait_for_end(process)

    def python(self, script: str) -> str:
        """Runs a script in the installation, Django ready; returns what it printed."""
        return run_script(script, {**_PATIENT, **self.environ})

    def statuses(self) -> dict[str, int]:
        """Counts messages by status, and batches, in the database."""
        counts = self.query(
            "SELECT status, count(*) FROM notifications_notificationmessage GROUP BY status"
        )
        batches = self.query("SELECT count(*) FROM notifications_deliverybatch")
        return {**dict(counts), "batches": batches[0][0]}

    def query(self, sql: str) -> list[Any]:
        """Returns the rows of a statement."""
        url = self.environ.get("CARILLON_DATABASE_URL")
        if url:
            with psycopg.connect(url, autocommit=True) as base:
                return base.execute(sql).fetchall()
        with closing(sqlite3.connect(self.folder / "carillon.sqlite3", timeout=10)) as base:
            return base.execute(sql).fetchall()
