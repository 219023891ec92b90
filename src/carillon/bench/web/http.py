"""`bench http`: POST send at steady rates and at full speed, and a bulk of 10,000.

Client, web process, worker and database share the machine. The processor time of each is printed.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from carillon.bench.harness.cpu import cpu_seconds
from carillon.bench.harness.environment import bench_environment, machine
from carillon.bench.web.serving import PEOPLE, Serving, serving

_STEADY_S = 15
_FULL_S = 8
_RATES = (100, 300)
_RATES_S = 10
"""Further rates, and the seconds of each."""
_AT_ONCE = 32


def run(*, database: str = "postgres", rate: int = 200) -> dict[str, Any]:
    """Measures latencies in ms at the client, with durable commits, while a worker delivers."""
    with bench_environment(database) as env:
        with serving(env) as served:
            figures = asyncio.run(_measure(served, rate))
        return {"database": database, **machine(), **env.run("settings"), **figures}


async def _measure(served: Serving, rate: int) -> dict[str, Any]:
    roots = {"client": os.getpid(), **served.roots}
    first = served.first_user
    headers = {"Authorization": f"Bearer {served.token}"}
    async with aiohttp.ClientSession(served.url, headers=headers) as session:
        turn = iter(range(10**9))

        async def send() -> float:
            body = {
                "template_path": "bench.payment",
                "user_id": first + next(turn) % PEOPLE,
                "channel": "in_app",
                "context": {"amount": 29.99},
            }
            began = time.monotonic()
            async with session.post("/api/v1/notifications/send", json=body) as response:
                await response.read()
                if response.status != 201:
                    raise RuntimeError(f"{response.status}: {await response.text()}")
            return (time.monotonic() - began) * 1000

        await _steady(send, rate, 2)
        steady = await _steady(send, rate, _STEADY_S)
        others = {each: await _steady(send, each, _RATES_S) for each in _RATES}
        before = cpu_seconds(roots)
        full = await _full_speed(send)
        shares = {role: used - before[role] for role, used in cpu_seconds(roots).items()}
        bulk = await _bulk(session, first)
    cuts = statistics.quantiles(steady, n=100)
    return {
        "rate": rate,
        "send_p50_ms": round(cuts[49], 1),
        "send_p99_ms": round(cuts[98], 1),
        "send_max_ms": round(max(steady), 1),
        **{f"p99_at_{each}_ms": round(_p99(times), 1) for each, times in others.items()},
        "clients": _AT_ONCE,
        "send_per_s": round(full),
        "cpu_ms_per_send": {r: round(s * 1000 / (full * _FULL_S), 3) for r, s in shares.items()},
        "bulk10k_s": round(bulk, 3),
    }


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


async def _steady(send: Callable[[], Awaitable[float]], rate: int, seconds: int) -> list[float]:
    """Sends each request on time, whether or not earlier ones have a response (open loop)."""
    began, tasks = time.monotonic(), []
    for number in range(rate * seconds):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.ensure_future(send()))
    return list(await asyncio.gather(*tasks))


async def _full_speed(send: Callable[[], Awaitable[float]]) -> float:
    until = time.monotonic() + _FULL_S

    async def one_after_another() -> int:
        count = 0
        while time.monotonic() < until:
            await send()
            count += 1
        return count

    counts = await asyncio.gather(*(one_after_another() for _ in range(_AT_ONCE)))
    return sum(counts) / _FULL_S


async def _bulk(session: aiohttp.ClientSession, first: int) -> float:
    body = {
        "template_path": "bench.payment",
        "channel": "in_app",
        "recipients": [{"user_id": first + n, "context": {"amount": n}} for n in range(PEOPLE)],
    }
    began = time.monotonic()
    async with session.post("/api/v1/notifications/bulk", json=body) as response:
        if (await response.json())["accepted"] != PEOPLE:
            raise RuntimeError(await response.text())
    return time.monotonic() - began
