"""Groups of requests: a lone one waits for nothing, the others form the next group."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from carillon.serving import groups
from carillon.serving.bridge import Bridge, Response
from carillon.serving.groups import Groups
from carillon.serving.pools import ClientGone, NoThreadFree
from tests.unit.api.test_bridge import Exchange, scope


class Work:
    """Works on groups; one that holds `hang` waits until `resume` is set."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.begun = threading.Event()
        self.resume = threading.Event()

    def __call__(self, requests: Sequence[str]) -> list[str]:
        self.groups.append(list(requests))
        if "hang" in requests:
            self.begun.set()
            self.resume.wait(10)
        if "fail" in requests:
            raise RuntimeError("a fault of ours")
        return [f"done {request}" for request in requests]


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    made = Work()
    yield made
    made.resume.set()


class Client:
    """A client that stays connected until it leaves."""

    def __init__(self) -> None:
        self._left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    def leave(self) -> None:
        self._left.set()


def groups_of(work: Work, *, waiting: int = 100, patience: float = 10.0) -> Groups[str, str]:
    return Groups("test", work, waiting=waiting, patience=patience)


def start(made: Groups[str, str], request: str, client: Client | None = None) -> asyncio.Task[str]:
    return asyncio.create_task(made.run(request, (client or Client()).receive))


async def busy(made: Groups[str, str], work: Work) -> asyncio.Task[str]:
    """A group of one request that is in progress."""
    first = start(made, "hang")
    await asyncio.to_thread(work.begun.wait, 10)
    return first


async def test_a_lone_request_is_a_group_of_its_own(work: Work) -> None:
    assert await start(groups_of(work), "a") == "done a"
    assert work.groups == [["a"]]


async def test_requests_that_arrive_meanwhile_form_the_next_groups(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MOST", 3)
    made = groups_of(work)
    first = await busy(made, work)
    others = [start(made, str(number)) for number in range(5)]
    await asyncio.sleep(0)
    work.resume.set()
    assert await first == "done hang"
    assert await asyncio.gather(*others) == [f"done {number}" for number in range(5)]
    assert work.groups == [["hang"], ["0", "1", "2"], ["3", "4"]]


async def test_a_request_whose_client_left_never_begins(work: Work) -> None:
    made, client = groups_of(work), Client()
    first = await busy(made, work)
    dropped, other = start(made, "dropped", client), start(made, "other")
    await asyncio.sleep(0)
    client.leave()
    with pytest.raises(ClientGone):
        await dropped
    work.resume.set()
    await asyncio.gather(first, other)
    assert work.groups == [["hang"], ["other"]]


async def test_a_client_that_leaves_during_its_group_changes_nothing(work: Work) -> None:
    made, client = groups_of(work), Client()
    first = start(made, "hang", client)
    await asyncio.to_thread(work.begun.wait, 10)
    client.leave()
    work.resume.set()
    assert await first == "done hang"


async def test_more_requests_than_may_wait_are_refused_at_once(work: Work) -> None:
    made = groups_of(work, waiting=1)
    first = await busy(made, work)
    waiting = start(made, "waiting")
    await asyncio.sleep(0)
    with pytest.raises(NoThreadFree):
        await start(made, "refused")
    work.resume.set()
    await asyncio.gather(first, waiting)
    assert work.groups == [["hang"], ["waiting"]]


async def test_a_request_that_waited_too_long_is_refused_and_never_begins(work: Work) -> None:
    made = groups_of(work, patience=0.01)
    first = await busy(made, work)
    with pytest.raises(NoThreadFree):
        await start(made, "late")
    work.resume.set()
    await first
    assert await start(made, "next") == "done next"
    assert work.groups == [["hang"], ["next"]]


async def test_a_group_that_fails_harms_no_other(work: Work) -> None:
    made = groups_of(work)
    first = await busy(made, work)
    failing = start(made, "fail")
    await asyncio.sleep(0)
    work.resume.set()
    await first
    with pytest.raises(RuntimeError):
        await failing
    assert await start(made, "next") == "done next"


async def test_the_end_of_lifespan_waits_for_the_group_in_progress() -> None:
    class Sends:
        ended = False

        async def __call__(self, *_: Any) -> None:
            return None

        def shutdown(self) -> None:
            self.ended = True

    sends = Sends()
    bridge = Bridge(lambda *_: [], max_body_bytes=10, grouped=sends)
    life = Exchange({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await bridge({"type": "lifespan"}, life.receive, life.send)
    assert sends.ended


class Grouped:
    """Serves every request in groups."""

    def __init__(self, made: Groups[str, str]) -> None:
        self._groups = made

    async def __call__(self, _scope: Any, body: bytes, receive: Any) -> Response:
        return 200, [], (await self._groups.run(body.decode(), receive)).encode()

    def shutdown(self) -> None:
        self._groups.shutdown()


async def exchange(bridge: Bridge, body: str) -> tuple[int, dict[bytes, bytes]]:
    """The status and the headers of the response to a client that stays."""
    messages = [{"type": "http.request", "body": body.encode()}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await bridge(scope(method="POST"), receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize(("waiting", "patience"), [(0, 10.0), (1, 0.01)], ids=["full", "too long"])
async def test_a_request_that_finds_no_place_gets_503_and_when_to_repeat_it(
    work: Work, waiting: int, patience: float
) -> None:
    made = groups_of(work, waiting=1, patience=10.0)
    first = await busy(made, work)
    made._most_waiting, made._patience = waiting, patience
    bridge = Bridge(lambda *_: [], max_body_bytes=10, grouped=Grouped(made))

    status, headers = await asyncio.wait_for(exchange(bridge, "late"), 5)
    assert (status, headers[b"retry-after"]) == (503, b"1")

    made._most_waiting, made._patience = 1, 10.0
    work.resume.set()
    await first
    assert (await exchange(bridge, "next"))[0] == 200
    assert work.groups == [["hang"], ["next"]]
