"""Workers as real processes over one database lose nothing and send nothing twice."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from carillon import chaos
from carillon.bench.harness.environment import BenchEnvironment, Observer, bench_environment
from notifications.testing.servers import SMTPSink

pytestmark = pytest.mark.processes
BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"])


class Arrivals(Counter[str]):
    """Counts mails by the reference that each carries."""

    def record(self, mail) -> None:
        found = re.search(rb"^Message-ID: <([0-9a-f.a-z]+)@", mail.content, re.MULTILINE)
        assert found, mail.content[:300]
        self[found.group(1).decode()] += 1


@contextlib.contextmanager
def mail_environment(database: str, sink: SMTPSink, **settings: str) -> Iterator[BenchEnvironment]:
    with bench_environment(
        database,
        email_provider="smtp",
        smtp_host=sink.host,
        smtp_port=str(sink.port),
        smtp_tls="none",
        **{"rate_limits": "smtp=off", **settings},
    ) as place:
        place.run("people", 500)
        yield place


@BOTH
def test_two_workers_over_one_queue_never_send_one_message_twice(database):
    arrivals = Arrivals()
    with SMTPSink(store=False, on_mail=arrivals.record).run_in_thread() as sink:
        with mail_environment(database, sink) as place:
            workers = place.workers(2)
            place.run("accept", 3000, "email", "drain", 500)
            place.stop(workers)

    assert len(arrivals) == 3000
    assert set(arrivals.values()) == {1}


@BOTH
def test_workers_that_die_lose_nothing_and_send_nothing_twice(database):
    figures = chaos.run(database=database, kills=3, messages=3000, seed=7)

    assert figures["accepted"] == 3000
    assert (figures["lost"], figures["duplicates"]) == (0, 0)
    assert figures["max_uncertain_per_kill"] <= 100
    assert figures["statuses"].get("pending", 0) == 0


@BOTH
def test_a_zombie_that_wakes_after_its_lease_records_nothing(database):
    figures = chaos.run(database=database, kills=2, messages=2000, seed=11, zombies=1.0)

    assert (figures["lost"], figures["duplicates"]) == (0, 0)


@BOTH
def test_the_lease_of_a_slow_provider_is_renewed(database):
    """Forty mails of 60 ms over one connection need more than two durations of the lease."""
    arrivals = Arrivals()

    def slow(verb: str, _line: str) -> None:
        if verb == "END":
            time.sleep(0.06)

    with SMTPSink(store=False, on_mail=arrivals.record, script=slow).run_in_thread() as sink:
        settings = {
            "lease_seconds": "1",
            "provider_timeout_seconds": "0.6",
            "smtp_connections": "1",
        }
        with mail_environment(database, sink, **settings) as place:
            workers = place.workers(1)
            place.run("accept", 40, "email", "drain", 40)
            tally = _tally(place)
            place.stop(workers)

    assert set(arrivals.values()) == {1}
    assert len(arrivals) == 40
    assert tally["uncertain"] == []


def _tally(place: BenchEnvironment):
    observer = Observer(place)
    tally = observer.query("tally")
    observer.query("end")
    return tally


def test_a_long_open_reader_does_not_slow_the_queue_down():
    """An old snapshot prevents the removal of dead rows; workers must not scan them."""
    with bench_environment("postgres") as place:
        place.run("people", 500)
        host = place.environ["CARILLON_DATABASE_URL"].partition("host=")[2]
        with psycopg.connect(host=host, user="postgres", dbname="postgres") as reader:
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT count(*) FROM notifications_deliverybatch")
            workers = place.workers(1)
            first = place.run("accept", 500, "in_app", "drain", 1)
            second = place.run("accept", 500, "in_app", "drain", 1)
            place.stop(workers)

    # Single messages: 500 dead batch rows precede the second half. docs/benchmarks.md has figures.
    assert second["accepted"] == first["accepted"] == 500


def test_wakeups_reach_a_worker_in_another_process():
    """With one poll a minute, only the datagram can have woken the worker."""
    with bench_environment("sqlite", poll_seconds="60") as place:
        place.run("people", 10)
        workers = place.workers(1)
        done = threading.Event()

        def accept() -> None:
            place.run("accept", 10, "in_app", "drain", 10)
            done.set()

        threading.Thread(target=accept, daemon=True).start()
        assert done.wait(30)
        place.stop(workers)
