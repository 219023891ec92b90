"""`bench email`: templated mail to a local SMTP sink, compared with django-post_office."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import Any

from carillon.bench.harness.environment import BenchEnvironment, bench_environment, machine
from notifications.testing.servers import SMTPSink

_PEOPLE = 5_000
_PAIRS = 6


def run(
    *,
    database: str = "postgres",
    messages: int = 60_000,
    workers: int = 2,
    baseline: int = 10_000,
    tracked: bool = False,
) -> dict[str, Any]:
    """Measures the whole job (`per_s`: from the call to the written record), and sending alone.

    The baseline is measured twice: it renders when it queues, and when it sends. `ratio` uses the
    faster of the two. `sending_ratio` compares how fast filled queues are emptied; the baseline
    renders nothing there. tracked: compares mails of ten links with and without tracking instead.
    """
    if tracked:
        return _tracked(database, messages, workers)
    with SMTPSink(store=False).run_in_thread() as sink:
        settings = _smtp(sink)
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


def _smtp(sink: SMTPSink) -> dict[str, Any]:
    return {
        "email_provider": "smtp",
        "rate_limits": "smtp=off",
        "smtp_host": sink.host,
        "smtp_port": str(sink.port),
        "smtp_tls": "none",
    }


def _tracked(database: str, messages: int, workers: int) -> dict[str, Any]:
    """Measures in alternating pairs, in one installation; `tracked_ratio` is the median's."""
    part = max(1_000, messages // _PAIRS)
    with SMTPSink(store=False).run_in_thread() as sink:
        settings = _smtp(sink)
        with bench_environment(database, **settings) as env:
            figures = {"database": database, "messages": messages, "workers": workers, **machine()}
            figures |= env.run("settings") | {"links": 10}
            env.run("people", _PEOPLE)
            env.run("ten_links")
            pairs = []
            for number in range(_PAIRS + 1):
                first = _speed(env, part, workers, "on" if number % 2 else "off")
                second = _speed(env, part, workers, "off" if number % 2 else "on")
                pairs.append((second, first) if number % 2 else (first, second))
        figures["arrived"] = sink.count
    pairs = pairs[1:]  # the first warms caches
    figures["per_s"] = round(statistics.median(on for _, on in pairs))
    figures["untracked_per_s"] = round(statistics.median(off for off, _ in pairs))
    ratios = sorted(on / off for off, on in pairs)
    figures["tracked_ratio"] = round(statistics.median(ratios), 3)
    figures["tracked_ratios"] = [round(each, 3) for each in ratios]
    return figures


def _speed(env: BenchEnvironment, messages: int, workers: int, mode: str) -> float:
    """Returns mails a second, from the call to the written record."""
    settings = {"CARILLON_TRACK_OPENS": mode, "CARILLON_TRACK_CLICKS": mode}
    before = dict(env.environ)
    env.environ.update(settings)
    try:
        return float(_pass(env, messages, workers)["per_s"])
    finally:
        env.environ.clear()
        env.environ.update(before)


def _carillon(env: BenchEnvironment, messages: int, workers: int) -> dict[str, Any]:
    env.run("people", _PEOPLE)
    return _pass(env, messages, workers)


def _pass(env: BenchEnvironment, messages: int, workers: int) -> dict[str, Any]:
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
