"""`bench backlog`: throughput as the backlog grows, while a long transaction reads."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg

from carillon.bench.harness.environment import BenchEnvironment, bench_environment, machine

_PEOPLE = 10_000
_SIZES = (10_000, 100_000, 1_000_000)
_SAMPLE_S = 8


def run(
    *, database: str = "postgres", workers: int = 2, backlog: int = 1_000_000
) -> dict[str, Any]:
    """Measures messages a second at each size, for some seconds or until the queue is empty."""
    workers = 1 if database == "sqlite" else workers
    figures: dict[str, Any] = {"database": database, "workers": workers, **machine()}
    for size in [each for each in _SIZES if each <= backlog]:
        with bench_environment(database) as env, _long_reader(database, env):
            env.run("people", _PEOPLE)
            env.run("accept", size, "in_app")
            sampling = env.start("sample", _SAMPLE_S)
            assert sampling.stdout is not None
            sampling.stdout.readline()
            started = env.workers(workers)
            figures[f"per_s_at_{size}"] = env.result(sampling)["per_s"]
            figures[f"rss_mb_at_{size}"] = max(each["rss_mb"] for each in env.stop(started))
    return figures


@contextlib.contextmanager
def _long_reader(database: str, env: BenchEnvironment) -> Any:
    """Keeps a snapshot open during the block, so that PostgreSQL cannot remove dead rows."""
    if database == "sqlite":
        yield
        return
    host = env.environ["CARILLON_DATABASE_URL"].partition("host=")[2]
    with psycopg.connect(host=host, user="postgres", dbname="postgres") as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM notifications_deliverybatch")
        yield
