"""A service on hosts of its own."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from notifications.testing.servers import SMTPSink
from tests.functional.installation import wait_until
from tests.hosts.lab import Host, Lab
from tests.hosts.traffic import PREPARE, Arrivals, Outcome, Traffic, health, outcome

STOPPING = str(Path(__file__).parent / "stopping")
PORT = 8000


@dataclass
class Service:
    """A web tier and a worker, each on a host; a provider that counts; people and a key."""

    lab: Lab
    web: Host
    worker: Host
    sink: SMTPSink
    arrivals: Arrivals
    prepared: dict[str, Any]

    @property
    def url(self) -> str:
        return self.url_of(self.web)

    def url_of(self, host: Host) -> str:
        return f"http://{host.address}:{PORT}"

    def is_ready(self, host: Host) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url_of(host)}/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def new_worker(self, *, stop_at: str = "") -> Host:
        host = self.lab.host("worker")
        host.carillon("worker", **self.stopping(host, stop_at))
        return host

    def new_web(self, *, stop_at: str = "") -> Host:
        host = self.lab.host("web")
        host.carillon(
            "web", "--host", "0.0.0.0", "--port", str(PORT), **self.stopping(host, stop_at)
        )
        return host

    def stopping(self, host: Host, stop_at: str) -> dict[str, str]:
        if not stop_at:
            return {}
        return {
            "PYTHONPATH": STOPPING,
            "HOSTS_STOP_AT": stop_at,
            "HOSTS_MARK": str(self.mark(host)),
        }

    def mark(self, host: Host) -> Path:
        """The file that says that a process of this host stands still."""
        return self.lab.folder / f"{host.name}.stopped"

    def traffic(self, url: str = "") -> Traffic:
        return Traffic(url or self.url, self.prepared)

    def settled(self, traffic: Traffic, seconds: float = 90) -> Outcome:
        """Waits until everything that was taken in has arrived, and judges."""
        traffic.end()
        wait_until(lambda: set(traffic.accepted) <= set(self.arrivals.at), seconds)
        wait_until(lambda: not self.left(), seconds)
        return outcome(self.lab, traffic, self.arrivals, since=traffic.began_at)

    def left(self) -> int:
        found = self.lab.ask("SELECT count(*) FROM notifications_deliverybatch")
        return int(found)

    def health(self) -> tuple[int, list[str]]:
        return health(self.url)


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Service]:
    arrivals = Arrivals()
    sink = SMTPSink(store=False, on_mail=arrivals.take)
    with Lab(folder, email_provider="smtp", smtp_tls="none", **settings) as lab:
        sink.host = lab.gateway
        with sink.run_in_thread():
            lab.environ["CARILLON_SMTP_HOST"] = sink.host
            lab.environ["CARILLON_SMTP_PORT"] = str(sink.port)
            prepared = json.loads(lab.python(PREPARE).splitlines()[-1])
            web, worker = lab.host("web"), lab.host("worker")
            service = Service(lab, web, worker, sink, arrivals, prepared)
            web.carillon("web", "--host", "0.0.0.0", "--port", str(PORT))
            worker.carillon("worker")
            wait_until(lambda: service.is_ready(web), 90)
            yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("hosts"), rate_limits="smtp=1000/s") as made:
        yield made
