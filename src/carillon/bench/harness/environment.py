"""The environment of a benchmark: its own database, and child processes with their results."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carillon.servers import PostgresServer, RedisServer

_TIMEOUT_S = 900
PREPARED = "CARILLON_PREPARED"
"""The environment variable with a folder of migrated databases, which saves the migrations."""


@dataclass
class BenchEnvironment:
    """An installation to measure: its environment variables, and the children started in it."""

    environ: dict[str, str]
    folder: Path
    children: list[subprocess.Popen[str]] = field(default_factory=list)
    #: The process id of the PostgreSQL server; None on SQLite.
    database_pid: int | None = None

    def start(
        self, role: str, *arguments: object, stdin: int | None = None, **environ: str
    ) -> subprocess.Popen[str]:
        """Starts a role of carillon.bench.harness.roles in its own process."""
        child = subprocess.Popen(
            [sys.executable, "-m", "carillon.bench.harness.roles", role, *map(str, arguments)],
            env={**self.environ, **environ},
            stdin=stdin,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.children.append(child)
        return child

    def run(self, role: str, *arguments: object, **environ: str) -> dict[str, Any]:
        """Runs a role to its end and returns what it measured."""
        return self.result(self.start(role, *arguments, stdin=None, **environ))

    def result(self, child: subprocess.Popen[str]) -> dict[str, Any]:
        """Waits for a child's last line, which is one JSON object.

        Raises:
            RuntimeError: the child failed; its stderr is above.
        """
        out, _ = child.communicate(timeout=_TIMEOUT_S)
        if child.returncode != 0:
            raise RuntimeError(f"{child.args!r} ended with {child.returncode}")
        figures: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        return figures

    def workers(
        self, count: int, *arguments: object, role: str = "worker"
    ) -> list[subprocess.Popen[str]]:
        """Starts workers and waits until each reports that it listens."""
        started = [self.start(role, *arguments) for _ in range(count)]
        for child in started:
            assert child.stdout is not None
            child.stdout.readline()
        return started

    def stop(self, children: Sequence[subprocess.Popen[str]]) -> list[dict[str, Any]]:
        """Has children drain and end; returns what they measured."""
        for child in children:
            child.send_signal(signal.SIGTERM)
        return [self.result(child) for child in children]


def bare_environ() -> dict[str, str]:
    """Returns this process's environment variables without any setting of Carillon."""
    others = {name: text for name, text in os.environ.items() if not name.startswith("CARILLON_")}
    return {**others, "DJANGO_SETTINGS_MODULE": "carillon.settings.base"}


class Observer:
    """A child process that runs queries of the database on request."""

    def __init__(self, env: BenchEnvironment, role: str = "observe") -> None:
        self._child = env.start(role, stdin=subprocess.PIPE)

    def query(self, *words: str) -> Any:
        """Sends one request line; returns the decoded response."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(" ".join(words) + "\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())


@contextlib.contextmanager
def bench_environment(
    database: str, *, redis: bool = False, migrated: bool = True, **settings: str
) -> Iterator[BenchEnvironment]:
    """Creates an installation on `sqlite` or `postgres`, and removes it afterwards.

    migrated: whether the database has its tables. settings: environment variables without their
    `CARILLON_`. When PREPARED is set, the database is a copy of that folder's `sqlite` (a data
    folder) or `postgres` (a server's data).
    """
    ready = Path(os.environ[PREPARED]) / database if PREPARED in os.environ and migrated else None
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carillon-bench-")))
        environ = bare_environ()
        environ |= {
            "CARILLON_DATA_DIR": str(folder / "data"),
            "CARILLON_KEYS_DIR": str(folder / "data" / "keys"),
            "CARILLON_LOG_LEVEL": "WARNING",
            # Roles write in bare transactions: they wait for a disk that pauses for seconds.
            "CARILLON_DATABASE_LOCK_TIMEOUT_SECONDS": "120",
        }
        environ |= {f"CARILLON_{name.upper()}": value for name, value in settings.items()}
        pid = None
        if database == "postgres":
            server = stack.enter_context(PostgresServer(prepared=ready))
            environ["CARILLON_DATABASE_URL"] = server.url
            pid = server.pid
        if redis:
            environ["CARILLON_REDIS_URL"] = stack.enter_context(RedisServer()).url
        made = BenchEnvironment(environ, folder, database_pid=pid)
        try:
            if not migrated:
                Path(environ["CARILLON_DATA_DIR"]).mkdir()
            elif ready is None:
                made.run("migrate")
            elif database == "sqlite":
                shutil.copytree(ready, environ["CARILLON_DATA_DIR"])
            yield made
        finally:
            for child in made.children:
                if child.poll() is None:
                    child.kill()
                child.wait()
                for pipe in (child.stdin, child.stdout):
                    if pipe is not None:
                        pipe.close()


def free_port() -> int:
    """Returns a port of loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def machine() -> dict[str, Any]:
    """Returns the machine's size, which is printed with all figures."""
    return {"cpus": os.cpu_count(), "python": sys.version.split()[0]}
