"""A small `carillon chaos --realtime`, and what its verdict says. The full size is a proof."""

from __future__ import annotations

import pytest

from carillon.chaos import realtime

TRUTH = [["a", "b", "c"]]


def judged(got: list[str], repeated: int = 0) -> dict[str, int]:
    good = {"got": TRUTH[0], "repeated": 0, "resyncs": 0}
    reports = [{"got": got, "repeated": repeated, "resyncs": 0}, good]
    figures = realtime.judge(reports, TRUTH)
    return {name: figures[name] for name in ("missed", "extra", "out_of_order", "repeated")}


@pytest.mark.parametrize(
    ("got", "repeated", "wrong"),
    [
        (["a", "b", "c"], 0, {}),
        (["a", "c"], 0, {"missed": 1}),
        (["a", "b", "b", "c"], 0, {"extra": 1}),
        (["a", "b", "c", "x"], 0, {"extra": 1}),
        (["b", "a", "c"], 0, {"out_of_order": 1}),
        (["a", "b", "c"], 2, {"repeated": 2}),
    ],
)
@pytest.mark.once
def test_the_verdict_names_each_fault(got: list[str], repeated: int, wrong: dict[str, int]):
    none = {"missed": 0, "extra": 0, "out_of_order": 0, "repeated": 0}
    assert judged(got, repeated) == {**none, **wrong}


@pytest.mark.processes
def test_clients_miss_nothing_while_servers_die():
    figures = realtime.run(database="sqlite", clients=10, events=16, seed=1)

    assert not realtime.is_wrong(figures), figures


@pytest.mark.proof
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_thousand_clients_miss_nothing(database: str):
    figures = realtime.run(database=database, clients=1_000, events=1_000)

    assert not realtime.is_wrong(figures), figures


@pytest.mark.proof
def test_ten_thousand_clients_miss_nothing():
    figures = realtime.run(database="postgres", clients=10_000, events=100)

    assert not realtime.is_wrong(figures), figures
