"""Broadcasts with real processes that die: each recipient gets one message, and counts are true."""

from __future__ import annotations

import json

import pytest

from carillon.bench.harness.environment import Observer, bench_environment
from carillon.chaos import broadcast as chaos

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_broadcast_survives_killed_workers(database):
    """Workers are killed while one broadcast is paused, resumed and retried, and one cancelled."""
    figures = chaos.run(database=database, kills=3, recipients=2_000, seed=5)

    assert not chaos.is_wrong(figures), json.dumps(figures)
    states = figures["states"]
    assert states["sent"] + states.get("failed", 0) + states.get("cancelled", 0) == 2_000
    assert figures["invariant_checks"] > 3


def test_ten_clients_that_retry_at_once_retry_each_recipient_once():
    with bench_environment("postgres") as place:
        place.run("halves", 400)
        observer = Observer(place, "steer")
        made = observer.query("launch", "Even")
        assert observer.query("fail", str(made)) == 200
        retried = place.run("retry_together", made, 10)["retried"]
        progress = observer.query("progress", str(made))
        left = observer.query("check")
        observer.query("end")

    assert sorted(retried) == [0] * 9 + [200]
    assert (progress["failed"], progress["pending"], left) == (0, 200, [])
