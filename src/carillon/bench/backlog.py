"""`bench backlog`: what a message costs as the backlog grows, beside a long reader."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg

from carillon.bench.harness.ground import Ground, ground, machine

_PEOPLE = 10_000
_SIZES = (10_000, 100_000, 1_000_000)
_SAMPLE_S = 8


def run(
    *, database: str = "postgres", workers: int = 2, backlog: int = 1_000_000
) -> dict[str, Any]:
    """Messages a second at each size, measured for some seconds or until the queue is empty."""
    workers = 1 if database == "sqlite" else workers
    answer: dict[str, Any] = {"database": database, "workers": workers, **machine()}
    for size in [each for each in _SIZES if each <= backlog]:
        with ground(database) as place, _long_reader(database, place):
            place.run("people", _PEOPLE)
            place.run("accept", size, "in_app")
            sampling = place.start("sample", _SAMPLE_S)
            assert sampling.stdout is not None
            sampling.stdout.readline()
            started = place.workers(workers)
            answer[f"per_s_at_{size}"] = place.result(sampling)["per_s"]
            answer[f"rss_mb_at_{size}"] = max(each["rss_mb"] for each in place.stop(started))
    return answer


@contextlib.contextmanager
def _long_reader(database: str, place: Ground) -> Any:
    """A snapshot that is held open throughout: no dead row can be removed meanwhile."""
    if database == "sqlite":
        yield
        return
    host = place.environ["CARILLON_DATABASE_URL"].partition("host=")[2]
    with psycopg.connect(host=host, user="postgres", dbname="postgres") as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM notifications_deliverybatch")
        yield
