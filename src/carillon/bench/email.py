"""`bench email`: templated mail to a local SMTP sink, compared with django-post_office."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from carillon.bench.harness.environment import BenchEnvironment, bench_environment, machine
from notifications.testing.servers import SMTPSink

_PEOPLE = 5_000


def run(
    *, database: str = "postgres", messages: int = 60_000, workers: int = 2, baseline: int = 10_000
) -> dict[str, Any]:
    """Measures the whole job (`per_s`: from the call to the written record), and sending alone.

    The baseline is measured twice: it renders when it queues, and when it sends. `ratio` uses the
    faster of the two. `sending_ratio` compares how fast filled queues are emptied; the baseline
    renders nothing there.
    """
    with SMTPSink(store=False).run_in_thread() as sink:
        settings: dict[str, Any] = {
            "email_provider": "smtp",
            "rate_limits": "smtp=off",
            "smtp_host": sink.host,
            "smtp_port": str(sink.port),
            "smtp_tls": "none",
        }
        with bench_environment(database, **settings) as env:
            figures = {"database": database, "messages": messages, "workers": workers, **machine()}
            figures |= env.run("settings")
            figures |= _carillon(env, messages, workers)
            arrived = sink.count
            figures |= _post_office(env, baseline)
        figures["arrived"], figures["baseline_arrived"] = arrived, sink.count - arrived
    figures["ratio"] = round(figures["per_s"] / figures["post_office_per_s"], 1)
    figures["sending_ratio"] = round(
        figures["sending_per_s"] / figures["post_office_sending_per_s"], 1
    )
    return figures


def _carillon(env: BenchEnvironment, messages: int, workers: int) -> dict[str, Any]:
    env.run("people", _PEOPLE)
    accepted = env.run("accept", messages, "email", "", _PEOPLE)
    began = time.monotonic()
    started = env.workers(workers)
    env.run("drained")
    elapsed = time.monotonic() - began
    ended = env.stop(started)
    busy = min(elapsed, max(each["busy_s"] for each in ended))
    return {
        "per_s": round(messages / (accepted["accept_s"] + busy)),
        "accept_per_s": round(messages / accepted["accept_s"]),
        "sending_per_s": round(messages / busy),
        "rss_mb_max": max(each["rss_mb"] for each in ended),
    }


def _post_office(env: BenchEnvironment, messages: int) -> dict[str, int]:
    environ = {**env.environ, "DJANGO_SETTINGS_MODULE": "carillon.bench.harness.postoffice"}
    done = subprocess.run(
        [sys.executable, "-m", "carillon.bench.harness.postoffice", str(messages)],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
        check=True,
    )
    figures: dict[str, dict[str, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    for figure in figures.values():
        if figure["sent"] != messages:
            raise RuntimeError(f"the baseline sent {figure['sent']} of {messages}")
    early, late = figures["early"], figures["late"]
    return {
        "post_office_per_s": round(
            messages / min(each["queue_s"] + each["send_s"] for each in (early, late))
        ),
        "post_office_queue_per_s": round(messages / early["queue_s"]),
        "post_office_sending_per_s": round(messages / early["send_s"]),
        "post_office_rendering_and_sending_per_s": round(messages / late["send_s"]),
    }
