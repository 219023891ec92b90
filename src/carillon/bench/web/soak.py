"""`bench soak`: many requests to one web process and one worker, and what both use meanwhile.

A third each are single sends, bulks of two, and reads of preferences. Memory that grows from the
first tenth of the requests to the end is a leak.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from carillon.bench.harness.cpu import descendants
from carillon.bench.harness.environment import BenchEnvironment, bench_environment, machine
from carillon.bench.web.serving import PEOPLE, Serving, serving

_AT_ONCE = 32
_SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
_REPEATS = 100
"""How often a request that the service refuses as overloaded is made again, a second apart."""
_CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    " AND pid <> pg_backend_pid()"
)


def run(*, database: str = "postgres", requests: int = 100_000) -> dict[str, Any]:
    """Measures memory and connections at 10, 25, 50, 75 and 100 % of the requests."""
    with bench_environment(database) as env, serving(env) as served:
        usage = _Usage(env, served.roots)
        soak = _Soak(served, requests, usage.sample)
        began = time.monotonic()
        asyncio.run(soak.run())
        seconds = time.monotonic() - began
    return {
        "database": database,
        **machine(),
        "requests": requests,
        "requests_per_s": round(requests / seconds),
        "repeated": soak.repeated,
        "usage": usage.samples,
    }


class _Usage:
    """Samples of what the processes use."""

    def __init__(self, env: BenchEnvironment, roots: dict[str, int]) -> None:
        self.samples: list[dict[str, Any]] = []
        self._url = env.environ.get("CARILLON_DATABASE_URL")
        self._roots = {role: roots[role] for role in ("web", "worker")}

    def sample(self, share: float) -> None:
        """Notes the resident memory of each process, and the connections of the database."""
        found: dict[str, Any] = {"percent": round(share * 100)}
        for role, pid in self._roots.items():
            found[f"{role}_mb"] = _resident_mb(pid)
            found[f"{role}_children_mb"] = round(sum(map(_resident_mb, descendants(pid))), 1)
        if self._url:
            with psycopg.connect(self._url) as database:
                row = database.execute(_CONNECTIONS).fetchone()
            found["connections"] = row[0] if row else 0
        self.samples.append(found)


def _resident_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it ended
        return 0.0
    return next((round(int(x.split()[1]) / 1024, 1) for x in lines if x.startswith("VmRSS")), 0.0)


class _Soak:
    """The clients: each makes one request after another."""

    def __init__(self, served: Serving, requests: int, sample: Callable[[float], None]) -> None:
        #: Requests that were refused as overloaded and made again.
        self.repeated = 0
        self._url = served.url
        self._headers = {"Authorization": f"Bearer {served.token}"}
        self._first = served.first_user
        self._sample = sample
        self._marks = [(int(requests * share), share) for share in _SHARES]
        self._turns: Iterator[int] = iter(range(requests))
        self._done = 0

    async def run(self) -> None:
        """Makes all requests."""
        connector = aiohttp.TCPConnector(limit=_AT_ONCE)
        async with aiohttp.ClientSession(
            self._url, headers=self._headers, connector=connector
        ) as session:
            await asyncio.gather(*(self._client(session) for _ in range(_AT_ONCE)))

    async def _client(self, session: aiohttp.ClientSession) -> None:
        for turn in self._turns:
            await self._request(session, turn)
            self._done += 1
            while self._marks and self._done >= self._marks[0][0]:
                self._sample(self._marks.pop(0)[1])

    async def _request(self, session: aiohttp.ClientSession, turn: int) -> None:
        person = self._first + turn % PEOPLE
        body = {"template_path": "bench.payment", "context": {"amount": 29.99}}
        if turn % 3 == 0:
            sent = {**body, "user_id": person, "channel": "in_app"}
            await self._call(session, 201, "POST", "/api/v1/notifications/send", json=sent)
        elif turn % 3 == 1:
            listed = [{"user_id": person, "channel": channel} for channel in ("in_app", "email")]
            sent = {**body, "recipients": listed}
            await self._call(session, 202, "POST", "/api/v1/notifications/bulk", json=sent)
        else:
            path = f"/api/v1/preferences?user_id={person}"
            await self._call(session, 200, "GET", path)

    async def _call(
        self, session: aiohttp.ClientSession, wanted: int, method: str, path: str, **given: Any
    ) -> None:
        for tries in itertools.count(1):
            async with session.request(method, path, **given) as response:
                text = await response.read()
            if response.status == wanted:
                return
            if response.status != 503 or tries > _REPEATS:
                raise RuntimeError(f"{response.status}: {text.decode()}")
            self.repeated += 1
            await asyncio.sleep(1)
