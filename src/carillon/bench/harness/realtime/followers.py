"""Clients that come back at their position: `python -m carillon.bench.harness.realtime.followers`.

Each follows the protocol as docs/realtime.md asks a client to, and stores what it got, so that the
chaos of live inboxes can tell whether anything was missed, repeated or out of order.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from carillon.bench.harness.realtime.clients import Crowd, Socket, main

_BACK_S = 0.2


class Follower(Socket):
    """A client that reconnects after any end."""

    __slots__ = (
        "_gap", "_task", "epoch", "got", "is_first_group", "port", "position", "repeated",
        "resyncs", "until",
    )  # fmt: skip

    def __init__(self, token: str, crowd: Crowd, port: int) -> None:
        super().__init__(token, crowd)
        self.port = port
        #: The public ids that it got, in order.
        self.got: list[str] = []
        self.epoch = ""
        self.position = 0
        self.repeated = 0
        self.resyncs = 0
        self.is_first_group = True
        #: It stays away until this time of the loop.
        self.until = 0.0
        #: After a resync: where it stood, and what it got since, until it has fetched the rest.
        self._gap: tuple[int, dict[int, str]] | None = None
        self._task: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Connects again and again."""
        loop = asyncio.get_running_loop()
        while True:
            if self.closed and loop.time() >= self.until:
                self.is_first_group = True
                try:
                    await self.open(self.port)
                except (OSError, TimeoutError, RuntimeError):
                    self.cut()
            await asyncio.sleep(_BACK_S * (0.5 + random.random()))

    def _read(self, body: bytes) -> None:
        frame = json.loads(body)
        data, kind = frame["data"], frame["type"]
        if kind == "resync":
            self.resyncs += 1
            self._gap = self._gap or (self.position, {})
            self.position = 0
        elif kind in ("notification", "change"):
            self._take_event(kind, data)
        elif kind == "unread":
            self.is_first_group = False
            self.position = max(self.position, data["seq"])
            if self.first is not None and not self.first.done():
                self.first.set_result(None)
            if self._gap is not None and self._task is None:
                self._task = asyncio.ensure_future(self._fetch_gap())
        self.epoch = data.get("epoch", self.epoch)
        self.where = f"{self.epoch}.{self.position}" if self.epoch else ""

    def _take_event(self, kind: str, data: dict[str, Any]) -> None:
        if data["seq"] <= self.position:
            # After its own reconnect it may get again what it had: it drops that.
            self.repeated += not self.is_first_group
            return
        self.position = data["seq"]
        if kind != "notification":
            return
        if self._gap is None:
            self.got.append(data["id"])
        else:
            self._gap[1][data["seq"]] = data["id"]

    async def _fetch_gap(self) -> None:
        """Fetches what no frame brings after a resync: all that arrived since the old position."""
        assert self._gap is not None
        old, known = self._gap
        path: str | None = "/api/v1/inbox?limit=100"
        while path is not None:
            page = await self._get(path)
            if page is None:
                await asyncio.sleep(_BACK_S)
                continue
            known |= {item["seq"]: item["id"] for item in page["results"]}
            is_enough = any(item["seq"] <= old for item in page["results"])
            path = None if is_enough or not page["next"] else _path_of(page["next"])
        self.got += [known[seq] for seq in sorted(known) if seq > old]
        self._gap = self._task = None

    async def _get(self, path: str) -> dict[str, Any] | None:
        """Returns a response; None where the server has none now."""
        try:
            async with _FETCHING:
                return await asyncio.to_thread(_get_json, self.port, path, self.token)
        except (OSError, http.client.HTTPException):
            return None


_FETCHING = asyncio.Semaphore(8)


def _get_json(port: int, path: str, token: str) -> dict[str, Any] | None:
    request = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        request.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = request.getresponse()
        found = response.read()
        return json.loads(found) if response.status == 200 else None
    finally:
        request.close()


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


class Followers(Crowd):
    """All followers of the process."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, port: int, tokens: str, more: int = 0) -> dict[str, Any]:
        """Lets a client for each line of a file follow, at one of two ports in turn."""
        words = _read_words(tokens)
        made = [Follower(word, self, (port, more or port)[n % 2]) for n, word in enumerate(words)]
        self.sockets += made
        self._tasks += [asyncio.create_task(each.follow()) for each in made]
        while any(each.closed for each in made):  # noqa: ASYNC110 -- each is a state of its own
            await asyncio.sleep(0.05)
        return {"clients": len(made)}

    async def drop(self, share: float, seconds: float) -> dict[str, Any]:
        """Cuts the connections of some clients, which stay away for a while."""
        chosen = random.sample(self.sockets, int(len(self.sockets) * share))
        for each in chosen:
            assert isinstance(each, Follower)
            each.until = asyncio.get_running_loop().time() + seconds
            each.cut()
        return {"dropped": len(chosen)}

    async def settle(self, count: int, seconds: float) -> dict[str, Any]:
        """Waits until all clients together got so many notifications."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._got() < count and loop.time() < until:  # noqa: ASYNC110 -- a sum of many
            await asyncio.sleep(0.1)
        return {"got": self._got()}

    async def report(self, file: str) -> dict[str, Any]:
        """Writes what each client got."""
        _write_text(
            file,
            json.dumps(
                [
                    {"got": each.got, "repeated": each.repeated, "resyncs": each.resyncs}
                    for each in self.sockets
                    if isinstance(each, Follower)
                ]
            ),
        )
        return {}

    def _got(self) -> int:
        return sum(len(each.got) for each in self.sockets if isinstance(each, Follower))


def _read_words(file: str) -> list[str]:
    return Path(file).read_text().split()


def _write_text(file: str, text: str) -> None:
    Path(file).write_text(text)


if __name__ == "__main__":
    random.seed(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    asyncio.run(main(Followers))
