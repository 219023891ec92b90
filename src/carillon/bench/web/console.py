"""`bench console`: how long the pages of the console take with many people and messages."""

from __future__ import annotations

import http.client
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from carillon.bench.harness.environment import bench_environment, free_port, machine
from carillon.bench.web.serving import wait_until_ready

_VISITS = 60
"""How often each page is opened. The first three times are not counted: a process reads settings
and templates then."""
_WARM_UP = 3
_FILTERS = (
    "/console/notifications?status=failed",
    "/console/notifications?channel=push&status=delivered",
    "/console/notifications?status=pending&category=security",
    "/console/people?find=crowd777",
    "/console/people?find=crowd4711@example.com",
)
_LONGEST_S = 30
_GENTLE_S = 0.02
"""Between two requests, so that no queue of requests is measured."""


def run(
    *, database: str = "postgres", users: int = 200_000, messages: int = 1_000_000
) -> dict[str, Any]:
    """Opens each page of the console 60 times over one connection, one request after another.

    pages: [median, p95, longest] in ms by page; a page of one notification or person is another one
    each time. slowest_p95_ms: of all pages. failed: pages that were not 200.
    """
    with bench_environment(database) as env:
        figures: dict[str, Any] = {"database": database, "users": users, **machine()}
        env.run("crowd", users)
        figures |= env.run("month_of_messages", messages)
        visit = env.run("console_visit", _VISITS)
        port = free_port()
        web = subprocess.Popen(
            [sys.executable, "-m", "carillon", "web", "--port", str(port)], env=env.environ
        )
        try:
            wait_until_ready(f"http://127.0.0.1:{port}")
            pages, failed = _open_all(port, visit)
        finally:
            web.terminate()
            web.wait(_LONGEST_S)
    return {
        **figures,
        "pages": pages,
        "slowest_p95_ms": max(p95 for _, p95, _ in pages.values()),
        "failed": failed,
    }


def _open_all(
    port: int, visit: dict[str, Any]
) -> tuple[dict[str, tuple[float, float, float]], dict[str, int]]:
    """Returns the times of each page, and the status of those that were not 200."""
    paths: dict[str, Callable[[int], str]] = {
        path: (lambda _, path=path: path)  # type: ignore[misc]
        for path in (*visit["lists"], *_FILTERS)
    }
    uuids, people = visit["notifications"], visit["people"]
    paths["/console/notifications/{id}"] = lambda n: (
        f"/console/notifications/{uuids[n % len(uuids)]}"
    )
    paths["/console/people/{number}"] = lambda n: f"/console/people/{people[n % len(people)]}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST_S)
    headers = {"Cookie": f"sessionid={visit['session']}", "Accept-Encoding": "gzip"}
    found, failed = {}, {}
    for name, path_of in paths.items():
        times: list[float] = []
        for number in range(_VISITS):
            began = time.monotonic()
            connection.request("GET", path_of(number), headers=headers)
            answer = connection.getresponse()
            answer.read()
            times.append((time.monotonic() - began) * 1000)
            if answer.status == 405:  # an action, not a page
                break
            if answer.status != 200:
                failed[name] = answer.status
                break
            time.sleep(_GENTLE_S)
        else:
            found[name] = _summary(times[_WARM_UP:])
    connection.close()
    return found, failed


def _summary(times: Sequence[float]) -> tuple[float, float, float]:
    cuts = statistics.quantiles(times, n=20)
    return round(statistics.median(times), 1), round(cuts[-1], 1), round(max(times), 1)
