"""SQLite under faults: a process that is stopped inside a transaction, and a full disk."""

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
from tests.functional.test_serving import responds, with_mail
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
"""Bytes that a file may have: the write-ahead log cannot grow."""


class Web:
    """A web process, and requests to it as a client sends them."""

    def __init__(self, place: Installation, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._token = place.carillon("token", "admin").stdout.strip()
        self._user = json.loads(
            place.python(
                "from directory.models import User\nprint(User.objects.get(username='student1').pk)"
            )
        )

    def send(self, key: str) -> tuple[int, dict[str, str]]:
        """Sends one mail; returns status and headers of the response."""
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
def stopped_writer(place: Installation) -> Iterator[None]:
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
    """Limits the size of files, in bytes, that a process may write: the disk seems full to it."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@dataclass
class Service:
    """A running installation: its web tier, its worker, and the server that receives its mails."""

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
            wait_until(lambda: responds(f"{web.url}/health/ready"))
            yield Service(place, web, serving, worker, sink)


def test_others_wait_for_a_stopped_writer_until_their_time_out(
    service: Service,
) -> None:
    before = service.sink.count
    with stopped_writer(service.place):
        with within(10):
            status, headers = service.web.send("still")
        assert status == 503
        assert int(headers["retry-after"]) >= 1
        assert responds(f"{service.web.url}/health/live"), "readers are not held up"
    assert service.web.send("still")[0] == 201
    wait_until(lambda: service.sink.count == before + 1)
    assert service.web.send("still")[0] == 201
    assert service.worker.poll() is None
    assert service.sink.count == before + 1


def test_a_full_disk_accepts_nothing_partly_and_recovers_with_new_space(
    service: Service,
) -> None:
    sent = service.sink.count
    before = json.loads(service.place.python(COUNTS))
    limit_files(service.serving, FULL_AT)
    assert [service.web.send(key)[0] for key in ("a", "b")] == [503, 503]
    assert json.loads(service.place.python(COUNTS)) == before
    limit_files(service.serving, resource.RLIM_INFINITY)
    # Accepted while the worker has no space to lease it.
    limit_files(service.worker, FULL_AT)
    assert [service.web.send(key)[0] for key in ("a", "b")] == [201, 201]
    assert service.sink.count == sent
    limit_files(service.worker, resource.RLIM_INFINITY)
    wait_until(lambda: service.sink.count == sent + 2)
    assert [service.web.send(key)[0] for key in ("a", "b")] == [201, 201]
    assert service.worker.poll() is None
    assert service.sink.count == sent + 2
