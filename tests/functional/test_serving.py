"""The modes of running under faults: wake-ups by Redis, a worker that dies, a port in use."""

from __future__ import annotations

import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from notifications.testing.servers import SMTPSink
from tests.functional.installation import Installation, children, free_port, wait_until

pytestmark = pytest.mark.processes
MAIL = ("--to", "student1", "--channel", "email", "--context", "amount=29.99")


def with_mail(folder: Path, sink: SMTPSink, **settings: str) -> Installation:
    place = Installation(
        folder, email_provider="smtp", smtp_host=sink.host, smtp_port=str(sink.port), **settings
    )
    place.prepare(demo=True)
    return place


def send(place: Installation) -> None:
    sent = place.carillon("send", "user.payment.success", *MAIL)
    assert sent.returncode == 0, sent.stderr


def responds(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_redis_wakes_a_celery_worker_that_hardly_polls(tmp_path, postgres_url, redis, pool):
    """With polling almost off, only the wake-up can have caused the mail."""
    with SMTPSink().run_in_thread() as sink:
        place = with_mail(
            tmp_path, sink, database_url=postgres_url, redis_url=redis.url, poll_seconds="60"
        )
        words = ("-A", "carillon", "worker", "-Q", "critical,high,default,bulk", "-l", "ERROR")
        with place.running(*words, "-P", pool, "-c", "1", module="celery"):
            wait_until(lambda: '"workers": 1' in alive(place))
            for count in (1, 2, 3):
                send(place)
                wait_until(lambda count=count: sink.count == count, 20)


def alive(place: Installation) -> str:
    return place.python(
        "import json; from notifications.models import WorkerProcess\n"
        "print(json.dumps({'workers': WorkerProcess.objects.count()}))\n"
    )


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_celery_worker_delivers_before_it_reaches_redis(tmp_path, postgres_url, redis, pool):
    redis.kill()
    with SMTPSink().run_in_thread() as sink:
        place = with_mail(tmp_path, sink, database_url=postgres_url, redis_url=redis.url)
        words = ("-A", "carillon", "worker", "-Q", "critical,high,default,bulk", "-l", "ERROR")
        with place.running(*words, "-P", pool, "-c", "1", module="celery"):
            send(place)
            wait_until(lambda: sink.count == 1)


def test_a_worker_that_dies_under_serve_is_restarted_at_once(tmp_path):
    """The lease would last a minute; the supervisor ends it, so that no message waits for it."""
    hanging, let_go = threading.Event(), threading.Event()

    def hang_once(verb: str, _line: str) -> None:
        if verb == "END" and not hanging.is_set():
            hanging.set()
            let_go.wait(30)

    with SMTPSink(script=hang_once).run_in_thread() as sink:
        place = with_mail(tmp_path, sink)
        port = free_port()
        with place.running("serve", "--port", str(port)) as serve:
            wait_until(lambda: responds(f"http://127.0.0.1:{port}/health/ready"))
            send(place)
            assert hanging.wait(30)
            dead = children(serve.pid)["worker"]
            os.kill(dead, signal.SIGKILL)
            wait_until(lambda: children(serve.pid).get("worker", dead) != dead)
            let_go.set()
            wait_until(lambda: "pending" not in place.statuses(), 25)
            serve.send_signal(signal.SIGINT)
            assert serve.wait(60) == 0
    output = next(tmp_path.glob("serve-*.log")).read_text()
    assert "worker ended (-9); again in 0.2 s" in output
    assert "Fatal" not in output, output
    statuses = place.statuses()
    assert statuses["batches"] == 0
    assert statuses.keys() & {"sent", "uncertain"}, statuses


def test_children_end_when_their_supervisor_is_killed(tmp_path):
    place = Installation(tmp_path)
    port = free_port()
    with place.running("serve", "--port", str(port)) as serve:
        wait_until(lambda: responds(f"http://127.0.0.1:{port}/health/ready"))
        pids = children(serve.pid)
        assert pids.keys() == {"web", "worker"}
        serve.kill()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.values()))


@pytest.mark.parametrize("command", ["serve", "web"])
def test_a_port_in_use_is_reported_in_one_line(tmp_path, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = Installation(tmp_path).carillon(command, "--port", port)
    assert answer.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_web_process_ends_with_success_after_a_signal(tmp_path):
    place = Installation(tmp_path)
    place.prepare()
    for number in (signal.SIGTERM, signal.SIGINT):
        port = free_port()
        with place.running("web", "--port", str(port)) as web:
            wait_until(lambda port=port: responds(f"http://127.0.0.1:{port}/health/live"))
            web.send_signal(number)
            assert web.wait(30) == 0


def test_a_missing_or_outdated_database_is_reported_in_one_line(tmp_path):
    send_words = ("send", "user.payment.success", *MAIL)
    new = Installation(tmp_path).carillon(*send_words)
    assert new.returncode == 1
    assert "run `carillon migrate`" in new.stderr
    assert "Traceback" not in new.stderr

    gone = Installation(tmp_path, database_url=f"sqlite:///{tmp_path}/no/such/folder/x")
    answer = gone.carillon("migrate")
    assert answer.returncode == 1
    assert "the database does not respond" in answer.stderr
    assert "Traceback" not in answer.stderr
