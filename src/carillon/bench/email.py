"""`bench email`: templated mail to a local SMTP sink, beside django-post_office in one run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from carillon.bench.ground import Ground, ground, machine
from notifications.testing.servers import SMTPSink

_PEOPLE = 5_000


def run(
    *, database: str = "postgres", messages: int = 20_000, workers: int = 2, baseline: int = 3_000
) -> dict[str, Any]:
    """Mails a second from a filled queue until the sink has them all and the record is written."""
    with SMTPSink(keep=False).run_in_thread() as sink:
        settings: dict[str, Any] = {
            "email_provider": "smtp",
            "smtp_host": sink.host,
            "smtp_port": str(sink.port),
            "smtp_tls": "none",
        }
        with ground(database, **settings) as place:
            answer = {"database": database, "messages": messages, "workers": workers, **machine()}
            answer |= place.run("settings")
            answer |= _carillon(place, messages, workers)
            arrived = sink.count
            answer["post_office_per_s"] = _post_office(place, baseline)
        answer["arrived"], answer["baseline_arrived"] = arrived, sink.count - arrived
    answer["ratio"] = round(answer["per_s"] / answer["post_office_per_s"], 1)
    return answer


def _carillon(place: Ground, messages: int, workers: int) -> dict[str, Any]:
    place.run("people", _PEOPLE)
    place.run("accept", messages, "email", "", _PEOPLE)
    began = time.monotonic()
    started = place.workers(workers)
    place.run("drained")
    elapsed = time.monotonic() - began
    ended = place.stop(started)
    busy = max(each["busy_s"] for each in ended)
    return {
        "per_s": round(messages / min(elapsed, busy)),
        "rss_mb_max": max(each["rss_mb"] for each in ended),
    }


def _post_office(place: Ground, messages: int) -> int:
    environ = {**place.environ, "DJANGO_SETTINGS_MODULE": "carillon.bench.postoffice"}
    done = subprocess.run(
        [sys.executable, "-m", "carillon.bench.postoffice", str(messages)],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    if figures["sent"] != messages:
        raise RuntimeError(f"the baseline sent {figures['sent']} of {messages}")
    return round(messages / figures["s"])
