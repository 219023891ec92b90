"""`bench breaker`: what a dead provider costs other channels, and how soon delivery resumes."""

from __future__ import annotations

import time
from typing import Any

from carillon.bench.harness.environment import (
    BenchEnvironment,
    bench_environment,
    free_port,
    machine,
)
from notifications.testing.servers import SMTPSink

_PEOPLE = 5_000
_COOLDOWN_S = 5.0


def run(
    *, database: str = "postgres", messages: int = 40_000, workers: int = 2, rounds: int = 2
) -> dict[str, Any]:
    """Measures in-app messages alone, and beside mails for a server that refuses connections.

    There are half as many mails as in-app messages. The two cases alternate, and the best round of
    each counts. Then the server comes back.
    """
    port = free_port()
    settings: dict[str, Any] = {
        "email_provider": "smtp",
        "smtp_host": "127.0.0.1",
        "smtp_port": str(port),
        "smtp_tls": "none",
        "rate_limits": "smtp=off",
        "breaker_open_seconds": str(_COOLDOWN_S),
    }
    with bench_environment(database, **settings) as env:
        figures = {"database": database, "messages": messages, "workers": workers, **machine()}
        figures |= env.run("settings")
        env.run("people", _PEOPLE)
        alone, beside = [], []
        for turn in range(rounds):
            alone.append(_deliver(env, messages, workers))
            if turn == 0:
                env.run("accept", messages // 2, "email", "", _PEOPLE)
            beside.append(_deliver(env, messages, workers))
            if turn + 1 < rounds:
                _deliver_mails(env, port, workers)
                env.run("accept", messages // 2, "email", "", _PEOPLE)
        figures["alone_per_s"], figures["beside_dead_per_s"] = max(alone), max(beside)
        figures |= _deliver_mails(env, port, workers)
    figures["ratio"] = round(figures["beside_dead_per_s"] / figures["alone_per_s"], 2)
    figures["cooldown_s"] = _COOLDOWN_S
    return figures


def _deliver(env: BenchEnvironment, messages: int, workers: int) -> int:
    env.run("accept", messages, "in_app", "", _PEOPLE)
    started = env.workers(workers)
    env.run("drained", "in_app")
    env.stop(started)
    return round(messages / float(env.run("span", "in_app", messages)["s"]))


def _deliver_mails(env: BenchEnvironment, port: int, workers: int) -> dict[str, Any]:
    """Starts the server, and measures the time to the first mail and to all of them."""
    started = env.workers(workers)
    time.sleep(1.0)  # workers meet the dead server, or the open breaker
    sink = SMTPSink(store=False)
    sink.port = port
    with sink.run_in_thread():
        began = time.monotonic()
        while not sink.count and time.monotonic() - began < 60:
            time.sleep(0.01)
        resumed_s = time.monotonic() - began
        env.run("drained")
        took_s = time.monotonic() - began
        env.stop(started)
    return {"resumed_s": round(resumed_s, 2), "all_sent_s": round(took_s, 1), "sent": sink.count}
