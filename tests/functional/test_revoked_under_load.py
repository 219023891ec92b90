"""An API key that is revoked by another process while clients use it: within a second it is 401."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.web import Web, is_up

pytestmark = pytest.mark.processes
SCOPES = "notifications:send,preferences:read"
CLIENTS, OTHERS = 8, 2
BOUND_S = 1.5
"""A caller is trusted for a second after its rows were read; the rest is for a slow machine."""
MORE = 5


class Exchange(NamedTuple):
    """A request and its response, in monotonic seconds."""

    began: float
    status: int
    ended: float


@dataclass
class Clients:
    """Clients that use one API key: every second one sends, the others read preferences."""

    web: Web
    count: int
    ends: threading.Event = field(default_factory=threading.Event)
    #: By client.
    exchanges: list[list[Exchange]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchanges = [[] for _ in range(self.count)]

    def run(self, client: int) -> None:
        while not self.ends.is_set():
            began = time.monotonic()
            found = self.web.send() if client % 2 else self.web.get("/api/v1/preferences?user_id=1")
            self.exchanges[client].append(Exchange(began, found.status, time.monotonic()))

    def all(self) -> list[Exchange]:
        return [each for some in self.exchanges for each in some]

    def wait_for_more(self, *, after: float) -> None:
        """Waits until each client made some requests that began after a time."""
        wait_until(
            lambda: all(sum(each.began > after for each in some) >= MORE for some in self.exchanges)
        )


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_key_that_is_revoked_under_load_is_refused_within_a_second(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    place = Installation(tmp_path, **({"database_url": url} if url else {}))
    place.prepare(demo=True)
    words = ("token", "admin", "--kind", "api-key", "--scopes", SCOPES)
    port = free_port()
    revoked, other = (
        Clients(Web(place, port, 0, place.carillon(*words).stdout.strip()), count)
        for count in (CLIENTS, OTHERS)
    )
    key = place.query("SELECT id FROM notifications_apikey ORDER BY id")[-2][0]
    with place.running("web", "--port", str(port)), ThreadPoolExecutor(CLIENTS + OTHERS) as threads:
        wait_until(lambda: is_up(revoked.web))
        running = [
            threads.submit(some.run, client)
            for some in (revoked, other)
            for client in range(some.count)
        ]
        try:
            for some in (revoked, other):
                some.wait_for_more(after=0)
            done = place.carillon("key", "revoke", str(key))
            revoked_at = time.monotonic()
            for some in (revoked, other):
                some.wait_for_more(after=revoked_at + BOUND_S)
        finally:
            for some in (revoked, other):
                some.ends.set()
        for each in running:
            each.result(60)
    assert done.returncode == 0, done.stderr
    check(revoked.all(), revoked_at)
    assert {each.status for each in other.all()} == {200, 201}


def check(exchanges: list[Exchange], revoked_at: float) -> None:
    assert {each.status for each in exchanges} == {200, 201, 401}
    late = [each for each in exchanges if each.began > revoked_at + BOUND_S]
    assert {each.status for each in late} == {401}
    first = min(each.ended for each in exchanges if each.status == 401)
    after = [each for each in exchanges if each.began > first + BOUND_S]
    assert {each.status for each in after} == {401}
