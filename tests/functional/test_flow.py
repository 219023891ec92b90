"""Limits and breakers among real worker processes."""

from __future__ import annotations

import threading
import time

import pytest

from carillon.bench.ground import ground
from notifications.testing.servers import Act, SMTPSink

pytestmark = pytest.mark.processes
BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"])
LIMIT = 100


def most_in_any_window(times, window_s):
    times, most, first = sorted(times), 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def mail_settings(sink, **more):
    return {
        "email_provider": "smtp",
        "smtp_host": sink.host,
        "smtp_port": str(sink.port),
        "smtp_tls": "none",
        **more,
    }


@BOTH
def test_four_workers_never_exceed_a_limit_and_use_it(database):
    """Redis is not asked: there is nothing of a limit to lose with it."""
    taken: list[float] = []
    with SMTPSink(
        keep=False, on_mail=lambda _: taken.append(time.monotonic())
    ).run_in_thread() as sink:
        with ground(database, **mail_settings(sink, rate_limits=f"smtp={LIMIT}/s")) as place:
            place.run("people", 200)
            place.run("accept", 700, "email", "", 200)
            workers = place.workers(4)
            place.run("drained")
            calls = place.run("calls")["began"]
            place.stop(workers)

    assert len(taken) == 700
    assert most_in_any_window(calls, 1.0) <= LIMIT
    steady = sorted(calls)[100:600]  # all four are at work
    assert 500 / (steady[-1] - steady[0]) >= 0.95 * LIMIT
    # What the server counts is late by its own turns; over some seconds that evens out.
    assert most_in_any_window(taken, 3.0) <= 3 * LIMIT


@BOTH
def test_a_dead_server_burns_no_attempts_and_delivery_resumes_by_itself(database):
    dead = threading.Event()
    dead.set()
    refused = []

    def script(verb, _line):
        if verb == "CONNECT" and dead.is_set():
            refused.append(verb)
            return Act.DROP
        return None

    with SMTPSink(keep=False, script=script).run_in_thread() as sink:
        settings = mail_settings(sink, rate_limits="smtp=off", breaker_seconds="2")
        with ground(database, **settings) as place:
            place.run("people", 200)
            workers = place.workers(2)
            place.run("accept", 400, "email", "", 200)
            place.run("accept", 400, "in_app", "", 200)
            place.run("drained", "in_app")
            pending = place.run("statuses", "email")
            dead.clear()
            place.run("drained")
            ended = place.run("statuses", "email")
            place.stop(workers)

    assert pending == {"pending": 400}
    assert ended == {"sent": 400}
    assert sink.count == 400
