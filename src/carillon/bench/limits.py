"""`bench limits`: how close several workers come to one rate limit, and whether they exceed it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from carillon.bench.harness.environment import bench_environment, machine
from notifications.testing.servers import SMTPSink

_PEOPLE = 500


def run(
    *, database: str = "postgres", messages: int = 2_000, workers: int = 4, rate: int = 100
) -> dict[str, Any]:
    """Sends mails to a counting server under a limit of `rate` a second.

    `used` is the used share of the limit in the middle eight tenths of the run.
    """
    with SMTPSink(store=False).run_in_thread() as sink:
        settings: dict[str, Any] = {
            "email_provider": "smtp",
            "smtp_host": sink.host,
            "smtp_port": str(sink.port),
            "smtp_tls": "none",
            "rate_limits": f"smtp={rate}/s",
        }
        with bench_environment(database, **settings) as env:
            figures = {"database": database, "messages": messages, "workers": workers, **machine()}
            env.run("people", _PEOPLE)
            env.run("accept", messages, "email", "", _PEOPLE)
            started = env.workers(workers, role="noting_worker")
            env.run("drained")
            calls = sorted(at for ended in env.stop(started) for at, _ in ended["calls"])
    middle = calls[messages // 10 : -messages // 10]
    return {
        **figures,
        "limit_per_s": rate,
        "most_in_any_second": most_in_any_window(calls, 1.0),
        "used": round((len(middle) - 1) / (middle[-1] - middle[0]) / rate, 3),
        "arrived": sink.count,
    }


def most_in_any_window(times: Sequence[float], window_s: float) -> int:
    """Returns the most of the times (s) that lie in one window of that length, without its end."""
    ordered, most, first = sorted(times), 0, 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most
