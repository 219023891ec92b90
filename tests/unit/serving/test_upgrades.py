"""Handshakes of websockets share the event loop with requests."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from carillon.serving.server import upgrades


def _passes(monkeypatch: pytest.MonkeyPatch, pass_s: float) -> list[str]:
    """Returns the order of four handshakes and of a request's callbacks beside them."""
    monkeypatch.setattr(upgrades, "PASS_S", pass_s)
    done: list[str] = []

    async def serve() -> None:
        queue = upgrades.upgrades_of(asyncio.get_running_loop())
        for number in range(4):
            queue.add(partial(done.append, f"handshake {number}"))
        for number in range(3):
            await asyncio.sleep(0)
            done.append(f"request {number}")

    asyncio.run(serve())
    return done


def test_a_request_goes_on_between_the_handshakes_that_use_up_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = _passes(monkeypatch, -1.0)
    assert [name for name in done if name.startswith("handshake")] == [
        f"handshake {number}" for number in range(len(done) - 3)
    ]
    assert done[:4] == ["handshake 0", "request 0", "handshake 1", "request 1"]


def test_handshakes_that_fit_share_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _passes(monkeypatch, 60.0)[:5] == [*(f"handshake {n}" for n in range(4)), "request 0"]


def test_one_that_fails_keeps_the_others_waiting_for_nothing() -> None:
    done: list[str] = []

    async def serve() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: done.append("reported"))
        queue = upgrades.upgrades_of(asyncio.get_running_loop())
        queue.add(partial(int, "no number"))
        queue.add(partial(done.append, "next"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(serve())
    assert done == ["reported", "next"]
