"""SQLite under faults: a process that stands still inside a transaction, a disk that is full."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from notifications.testing.servers import SMTPSink
from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_serving import answers, with_mail
from tests.pace import within

pytestmark = pytest.mark.processes
INSIDE = """
from django.db import transaction
from notifications.models import Category
with transaction.atomic():
    Category.objects.filter(key="system").update(key="system")
    print("inside", flush=True)
    input()
"""
COUNTS = """
import json
from notifications.models import *
from tests.pace import within
models = (Notification, NotificationMessage, DeliveryBatch, IdempotencyKey)
print(json.dumps([model.objects.count() for model in models]))
"""
FULL_AT = 4096
"""Bytes a file may have: nothing more goes into the write-ahead log."""


class Web:
    """A web process that is talked to as a client would."""

    def __init__(self, place: Installation, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._token = place.carillon("token", "admin").stdout.strip()
        self._user = json.loads(
            place.python(
                "from directory.models import User\nprint(User.objects.get(username='student1').pk)"
            )
        )

    def send(self, key: str) -> tuple[int, dict[str, str]]:
        """Sends one mail; the status and the headers of the answer."""
        body = {
            "template_path": "user.payment.success",
            "user_id": self._user,
            "channel": "email",
            "context": {"amount": "29.99"},
        }
        request = urllib.request.Request(
            f"{self.url}/api/v1/notifications/send",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "Idempotency-Key": key,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {name.lower(): value for name, value in error.headers.items()}


@contextmanager
def a_writer_that_stands_still(place: Installation) -> Iterator[None]:
    child = subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup()\n{INSIDE}"],
        env=place.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "inside\n"
    child.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def limit_files(process: subprocess.Popen[bytes], size: int) -> None:
    """What a process may write to a file, in bytes: beyond it the disk is full for it."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@dataclass
class Service:
    """One that runs: its web tier, its worker, and the server that takes its mails."""

    place: Installation
    web: Web
    serving: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]
    sink: SMTPSink


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with SMTPSink().run_in_thread() as sink:
        place = with_mail(
            tmp_path_factory.mktemp("sqlite"), sink, database_lock_timeout_seconds="0.5"
        )
        port = free_port()
        web = Web(place, port)
        with (
            place.running("web", "--port", str(port)) as serving,
            place.running("worker") as worker,
        ):
            wait_until(lambda: answers(f"{web.url}/health/ready"))
            yield Service(place, web, serving, worker, sink)


def test_a_writer_that_stands_still_makes_others_wait_no_longer_than_said(
    service: Service,
) -> None:
    before = service.sink.count
    with a_writer_that_stands_still(service.place):
        with within(10):
            status, headers = service.web.send("still")
        assert status == 503
        assert int(headers["retry-after"]) >= 1
        assert answers(f"{service.web.url}/health/live"), "readers are not held up"
    assert service.web.send("still")[0] == 201
    wait_until(lambda: service.sink.count == before + 1)
    assert service.web.send("still")[0] == 201
    assert service.worker.poll() is None
    assert service.sink.count == before + 1


def test_a_full_disk_takes_nothing_in_by_halves_and_is_over_when_there_is_room(
    service: Service,
) -> None:
    sent = service.sink.count
    before = json.loads(service.place.python(COUNTS))
    limit_files(service.serving, FULL_AT)
    assert [service.web.send(key)[0] for key in ("a", "b")] == [503, 503]
    assert json.loads(service.place.python(COUNTS)) == before
    limit_files(service.serving, resource.RLIM_INFINITY)
    # Taken in while the worker has no room to lease it.
    limit_files(service.worker, FULL_AT)
    assert [service.web.send(key)[0] for key in ("a", "b")] == [201, 201]
    assert service.sink.count == sent
    limit_files(service.worker, resource.RLIM_INFINITY)
    wait_until(lambda: service.sink.count == sent + 2)
    assert [service.web.send(key)[0] for key in ("a", "b")] == [201, 201]
    assert service.worker.poll() is None
    assert service.sink.count == sent + 2
