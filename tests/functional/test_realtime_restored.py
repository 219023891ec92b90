"""An older copy of the main database is put back: every client begins anew, and misses nothing."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from websockets.asyncio.client import ClientConnection

from tests.functional.installation import Installation
from tests.functional.test_realtime import Place, following, group, place_of, send, where
from tests.functional.web import Web

pytestmark = pytest.mark.processes


class Shown:
    """What a client shows: it forgets all after `resync`, as the page of the protocol says."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.place = ""
        self.resyncs = 0

    @property
    def epoch(self) -> str:
        return self.place.rpartition(".")[0]

    async def take(self, client: ClientConnection) -> None:
        """Takes a group of frames."""
        frames = await group(client)
        for frame in frames:
            if frame["type"] == "resync":
                self.ids.clear()
                self.resyncs += 1
            elif frame["type"] == "notification":
                self.ids.append(frame["data"]["id"])
        self.place = where(frames)

    async def until(self, client: ClientConnection, true: Callable[[], bool]) -> None:
        while not true():
            await self.take(client)


def test_a_copy_of_sqlite_is_put_back(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "data")
    installation.folder.mkdir()
    copy = tmp_path / "copy"

    def save() -> None:
        copy.mkdir()
        for part in installation.folder.glob("carillon.sqlite3*"):
            shutil.copy(part, copy / part.name)

    def put_back() -> None:
        for part in installation.folder.glob("carillon.sqlite3*"):
            part.unlink()
        for part in copy.iterdir():
            shutil.copy(part, installation.folder / part.name)

    asyncio.run(_follow_over_a_copy(place_of(installation), save, put_back))


def test_a_copy_of_postgres_is_put_back(tmp_path: Path, postgres_url: str) -> None:
    name = postgres_url.partition("?")[0].rpartition("/")[2]
    keys, copy = f"{name}_keys", f"{name}_copy"

    def url_of(other: str) -> str:
        return postgres_url.replace(f"/{name}?", f"/{other}?")

    def run(*statements: str) -> None:
        with psycopg.connect(url_of("template1"), autocommit=True) as base:
            for statement in statements:
                base.execute(sql.SQL(statement))  # type: ignore[arg-type]  # names of the test

    run(f'CREATE DATABASE "{keys}" TEMPLATE template0')
    try:
        installation = Installation(
            tmp_path, database_url=postgres_url, keys_database_url=url_of(keys)
        )
        place = place_of(installation)
        asyncio.run(
            _follow_over_a_copy(
                place,
                lambda: run(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"'),
                lambda: run(
                    f'DROP DATABASE "{name}" WITH (FORCE)',
                    f'ALTER DATABASE "{copy}" RENAME TO "{name}"',
                ),
            )
        )
    finally:
        run(f'DROP DATABASE IF EXISTS "{keys}" WITH (FORCE)')
        run(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')


async def _follow_over_a_copy(
    place: Place, save: Callable[[], None], put_back: Callable[[], None]
) -> None:
    ahead, behind = Shown(), Shown()
    with place.installation.running("worker"), place.served("web") as web:
        async with following(place) as client:
            await ahead.take(client)
            older = await send(web)
            await ahead.until(client, lambda: older in ahead.ids)
    behind.ids, behind.place = list(ahead.ids), ahead.place
    await asyncio.to_thread(save)

    with place.installation.running("worker") as worker, place.served("web") as web:
        async with following(place, ahead.place) as client:
            lost = [await send(web) for _ in range(3)]
            await ahead.until(client, lambda: set(lost) <= set(ahead.ids))
            os.kill(web.pid, signal.SIGKILL)
            worker.kill()
            worker.wait(20)
    await asyncio.to_thread(put_back)

    before = ahead.epoch
    with place.installation.running("worker"), place.served("web") as web:
        for shown in (ahead, behind):
            async with following(place, shown.place) as client:
                await shown.until(client, lambda shown=shown: shown.epoch != before)  # type: ignore[misc]
                assert shown.resyncs
                fresh = await send(web)
                await shown.until(client, lambda shown=shown, f=fresh: f in shown.ids)  # type: ignore[misc]
                assert older in shown.ids
                assert not set(lost) & set(shown.ids)
                assert sorted(shown.ids) == sorted(unread(web, place))
                assert len(set(shown.ids)) == len(shown.ids)


def unread(web: Web, place: Place) -> list[str]:
    """The unread notifications of the person, as the API has them."""
    key, web.token = web.token, place.jwt
    page: dict[str, Any] = json.loads(web.get("/api/v1/inbox?status=unread").body)
    web.token = key
    return [each["id"] for each in page["results"]]
