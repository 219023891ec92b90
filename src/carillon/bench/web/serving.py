"""A web process and a worker for the benchmarks of requests."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from carillon.bench.harness.environment import BenchEnvironment, free_port

PEOPLE = 10_000
_READY_S = 60
_DRAIN_S = 30


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves, and what clients need."""

    url: str
    #: An API key with all scopes.
    token: str
    #: The id of the first of PEOPLE users; the others follow it.
    first_user: int
    #: Process ids by role.
    roots: dict[str, int]


@contextlib.contextmanager
def serving(env: BenchEnvironment) -> Iterator[Serving]:
    """Starts a web process and a worker, waits until both serve, and has them drain afterwards."""
    first = env.run("people", PEOPLE)["first_id"]
    token = env.run("api_key")["key"]
    port = free_port()
    web = subprocess.Popen(
        [sys.executable, "-m", "carillon", "web", "--port", str(port)], env=env.environ
    )
    workers = env.workers(1)
    url = f"http://127.0.0.1:{port}"
    roots = {"web": web.pid, "worker": workers[0].pid}
    roots |= {"database": env.database_pid} if env.database_pid else {}
    try:
        wait_until_ready(url)
        yield Serving(url, token, first, roots)
    finally:
        web.terminate()
        web.wait(_DRAIN_S)
    env.stop(workers)


def wait_until_ready(url: str, path: str = "/health/ready") -> None:
    """Waits until a service at this URL responds to a health check with success.

    Raises:
        OSError: it does not within a minute.
    """
    until = time.monotonic() + _READY_S
    while True:
        try:
            with urllib.request.urlopen(url + path, timeout=5):  # noqa: S310 -- ours
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
