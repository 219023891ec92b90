"""A web process that is killed under many clients: every 201 stands once, and a key acts once."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from uuid import uuid4

import pytest

from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.web import SCOPES, Web, is_up

pytestmark = pytest.mark.processes
CLIENTS = 32
KILLS = 50 if os.environ.get("CARILLON_PROOF") else 2
SENT_BETWEEN = 60


@dataclass
class Clients:
    """Clients that repeat each request with its key until they get a response."""

    web: Web
    #: The notification of each key that got a 201.
    accepted: dict[str, str] = field(default_factory=dict)
    other: list[int] = field(default_factory=list)
    ends: threading.Event = field(default_factory=threading.Event)

    def wait_for_more(self, count: int) -> None:
        """Waits until so many more requests got a 201, or one got what it may not."""
        wanted = len(self.accepted) + count
        wait_until(lambda: len(self.accepted) >= wanted or bool(self.other))

    def run(self) -> None:
        while not self.ends.is_set():
            key = str(uuid4())
            while key not in self.accepted:
                try:
                    response = self.web.send(key, timeout=30)
                except (OSError, HTTPException):  # killed, or not started again yet
                    time.sleep(0.02)
                    continue
                if response.status == 201:
                    self.accepted[key] = response.json["id"]
                elif response.status in (409, 503):  # in progress elsewhere, or too many
                    time.sleep(0.02)
                else:
                    self.other.append(response.status)
                    return


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_what_was_answered_with_201_is_there_once_after_kills(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    place = Installation(tmp_path, **({"database_url": url} if url else {}))
    place.prepare(demo=True)
    words = ("token", "admin", "--kind", "api-key", "--scopes", SCOPES)
    web = Web(place, free_port(), 0, place.carillon(*words).stdout.strip())
    before = len(place.query("SELECT id FROM notifications_notification"))
    clients = Clients(web)
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(clients.run) for _ in range(CLIENTS)]
        try:
            for kill in range(KILLS + 1):
                with place.running("web", "--port", str(web.port)) as process:
                    wait_until(lambda: is_up(web))
                    clients.wait_for_more(SENT_BETWEEN)
                    if kill < KILLS:
                        os.kill(process.pid, signal.SIGKILL)
                    else:
                        clients.ends.set()
                        for each in running:
                            each.result(60)
        finally:
            clients.ends.set()
    assert clients.other == []
    rows = place.query("SELECT uuid FROM notifications_notification ORDER BY id")[before:]
    stored = [str(row[0]).replace("-", "") for row in rows]
    accepted = [each.replace("-", "") for each in clients.accepted.values()]
    assert sorted(stored) == sorted(accepted)
    assert len(set(accepted)) == len(clients.accepted)
