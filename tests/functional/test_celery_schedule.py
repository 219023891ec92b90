"""Celery's workers and beat as real processes: restarts, failures and their setup."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from carillon.servers import PostgresServer, RedisServer
from tests.documented_surface import CALLS, TASKS
from tests.functional.databases import admin
from tests.functional.installation import Installation, free_port, wait_until
from tests.prepared import prepared

pytestmark = pytest.mark.processes
WORKER = ("-A", "carillon", "worker", "--concurrency=1")
BEAT = ("-A", "carillon", "beat")
LOOPS = "notifications_periodicloop"
SETUP = """
from datetime import timedelta
from notifications.delivery.callbacks.base import IncomingCall
from notifications.infra import clock
from notifications.models import *
now = clock.now()
Broadcast.objects.create(
    target_group="all_students", title="Snow", message="Closed", channels=["in_app"],
    status="scheduled", scheduled_at=now)
ProviderCallback.objects.create(
    provider="generic", digest=str(now), received_at=now, next_at=now,
    call=IncomingCall("POST", "https://x.example/", {}, {}, b'{"event": "opened"}').as_json())
DigestBucket.objects.create(
    user_id=1, channel="email", frequency="daily", period=str(now), closes_at=now, created_at=now)
"""
ASK = f"""
from carillon.celery import app
app.loader.import_default_modules()
names = {list(TASKS)!r}
known = {{}}
while not known:
    known = app.control.inspect(timeout=2).registered() or {{}}
started = {{}}
for name in names:
    args, kwargs = ARGUMENTS.get(name.rpartition(".")[2], ([], {{}}))
    started[name] = app.tasks[name].delay(*args, **kwargs).id
print(json.dumps([[name for each in known.values() for name in each], started]))
"""
LEFT = (
    "SELECT (SELECT count(*) FROM notifications_broadcast WHERE status IN ('scheduled','sending'))"
    " + (SELECT count(*) FROM notifications_providercallback WHERE next_at IS NOT NULL)"
    " + (SELECT count(*) FROM notifications_digestbucket WHERE closed_at IS NULL)"
)


SECRET = "the-secret-of-all-processes-0123456789"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that the tests may restart."""
    with PostgresServer(durable=False, prepared=prepared("postgres")) as found:
        yield found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, server: PostgresServer) -> None:
    """The demo data, for all tests of this module."""
    folder = tmp_path_factory.mktemp("demo")
    Installation(folder, database_url=server.url, secret_key=SECRET).prepare(demo=True)


@pytest.fixture
def place(tmp_path: Path, server: PostgresServer, redis: RedisServer, demo: None) -> Installation:
    made = Installation(
        tmp_path,
        database_url=server.url,
        redis_url=redis.url,
        secret_key=SECRET,
        metrics_port=str(free_port()),
        log_level="WARNING",
    )
    admin(server.url, f"DELETE FROM {LOOPS}")
    return made


@contextmanager
def celery(place: Installation, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a Celery process that must live until the block ends, and then end successfully."""
    with place.running(*words, module="celery") as process:
        yield process
        assert process.poll() is None
    assert process.returncode == 0


def logs(place: Installation) -> str:
    return "".join(path.read_text(errors="replace") for path in place.folder.glob("*.log"))


def finished(server: PostgresServer, name: str, since: str = "-infinity") -> Any:
    """Returns when a loop finished its last round, if that was after a given time."""
    return admin(
        server.url,
        f"SELECT finished_at::text FROM {LOOPS} WHERE name = '{name}' AND finished_at > '{since}'",
    )


def workers(server: PostgresServer) -> list[int]:
    """Returns the living processes of workers."""
    names = admin(
        server.url,
        "SELECT coalesce(string_agg(owner, ' '), '') FROM notifications_workerprocess"
        " WHERE lease_until > now()",
    )
    pids = [int(name.split("/")[3]) for name in names.split()]
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_the_next_task_works_after_postgresql_was_restarted(place, server):
    with celery(place, *WORKER), celery(place, *BEAT):
        wait_until(lambda: finished(server, "broadcasts") and finished(server, "receipts"))
        server.stop()
        server.start()
        now = admin(server.url, "SELECT now()::text")
        wait_until(
            lambda: finished(server, "broadcasts", now) and finished(server, "receipts", now)
        )
        place.python(SETUP)
        wait_until(lambda: admin(server.url, LEFT) == 0)


def test_the_schedule_continues_while_redis_is_unreachable(place, server, redis):
    with celery(place, *WORKER):
        wait_until(lambda: workers(server))
        redis.kill()
        place.python(SETUP)
        wait_until(lambda: admin(server.url, f"SELECT count(*) > 9 FROM {LOOPS}"))
        # No round has ended for an hour: the workers would wait half a minute for that.
        admin(server.url, f"UPDATE {LOOPS} SET registered_at = now() - interval '1 hour'")
        wait_until(lambda: admin(server.url, LEFT) == 0)
        wait_until(lambda: finished(server, "upkeep"))
        wait_until(lambda: "Cannot connect to redis" in logs(place))
        redis.start()
        with celery(place, *BEAT):  # its tasks take over again from the standby process
            wait_until(
                lambda: admin(
                    server.url,
                    f"SELECT owner LIKE '%/task%' FROM {LOOPS} WHERE name = 'broadcasts'",
                )
            )


def test_a_worker_as_the_readme_starts_it_has_counters_and_loses_no_heartbeat(place, server):
    with celery(place, "-A", "carillon", "worker", "--concurrency=4"):
        wait_until(lambda: len(workers(server)) == 4)
        sent = place.carillon(
            *("send", "user.payment.success", "--to", "student1"),
            *("--channel", "email", "--context", "amount=29.99"),
        )
        assert sent.returncode == 0
        wait_until(lambda: 'template="user.payment.success"} 1.0' in counters(place))
    for fault in ("heartbeat", "loop.failed", "Traceback", "database.failed"):
        assert fault not in logs(place)


def counters(place: Installation) -> str:
    url = f"http://127.0.0.1:{place.environ['CARILLON_METRICS_PORT']}"
    with urllib.request.urlopen(url, timeout=20) as response:
        text: str = response.read().decode()
    return text


def test_a_running_worker_knows_and_runs_every_documented_task(place):
    reported = place.folder / "reported"
    reported.touch()
    place.environ |= {"REPORTED_TASKS": str(reported), "PYTHONPATH": str(Path(__file__).parents[2])}
    with celery(place, *WORKER, "-I", "tests.functional.reported_tasks"):
        registered, started = json.loads(place.python(CALLS + ASK).splitlines()[-1])
        assert set(TASKS) <= set(registered)
        wanted = {f"{name} {started[name]}" for name in TASKS}
        ended = r"^(\S+ \S+) [A-Z]+$"
        wait_until(lambda: wanted <= set(re.findall(ended, reported.read_text(), re.MULTILINE)))
    assert {line.rpartition(" ")[2] for line in reported.read_text().splitlines()} == {"SUCCESS"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_pool_process_that_ends_by_itself_is_replaced(place, server, number):
    with celery(place, *WORKER):
        wait_until(lambda: workers(server))
        (before,) = workers(server)
        os.kill(before, number)
        wait_until(lambda: set(workers(server)) - {before})
