"""`bench breaker`: what a dead provider costs the other channels, and how soon delivery resumes."""

from __future__ import annotations

import socket
import time
from typing import Any

from carillon.bench.harness.ground import Ground, ground, machine
from notifications.testing.servers import SMTPSink

_PEOPLE = 5_000
_COOLDOWN_S = 5.0


def run(
    *, database: str = "postgres", messages: int = 40_000, workers: int = 2, rounds: int = 2
) -> dict[str, Any]:
    """In-app messages alone, and with half as many mails queued for a server that refuses every
    connection; the better of some rounds each, in turns. Then the server comes back."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings: dict[str, Any] = {
        "email_provider": "smtp",
        "smtp_host": "127.0.0.1",
        "smtp_port": str(port),
        "smtp_tls": "none",
        "rate_limits": "smtp=off",
        "breaker_open_seconds": str(_COOLDOWN_S),
    }
    with ground(database, **settings) as place:
        answer = {"database": database, "messages": messages, "workers": workers, **machine()}
        answer |= place.run("settings")
        place.run("people", _PEOPLE)
        alone, beside = [], []
        for turn in range(rounds):
            alone.append(_deliver(place, messages, workers))
            if turn == 0:
                place.run("accept", messages // 2, "email", "", _PEOPLE)
            beside.append(_deliver(place, messages, workers))
            if turn + 1 < rounds:
                _deliver_mails(place, port, workers)
                place.run("accept", messages // 2, "email", "", _PEOPLE)
        answer["alone_per_s"], answer["beside_dead_per_s"] = max(alone), max(beside)
        answer |= _deliver_mails(place, port, workers)
    answer["ratio"] = round(answer["beside_dead_per_s"] / answer["alone_per_s"], 2)
    answer["cooldown_s"] = _COOLDOWN_S
    return answer


def _deliver(place: Ground, messages: int, workers: int) -> int:
    place.run("accept", messages, "in_app", "", _PEOPLE)
    started = place.workers(workers)
    place.run("drained", "in_app")
    place.stop(started)
    return round(messages / float(place.run("span", "in_app", messages)["s"]))


def _deliver_mails(place: Ground, port: int, workers: int) -> dict[str, Any]:
    """The server comes back: how long until the first mail, and until all of them."""
    started = place.workers(workers)
    time.sleep(1.0)  # they meet the dead server, or the open breaker
    sink = SMTPSink(store=False)
    sink.port = port
    with sink.run_in_thread():
        began = time.monotonic()
        while not sink.count and time.monotonic() - began < 60:
            time.sleep(0.01)
        resumed_s = time.monotonic() - began
        place.run("drained")
        took_s = time.monotonic() - began
        place.stop(started)
    return {"resumed_s": round(resumed_s, 2), "all_sent_s": round(took_s, 1), "sent": sink.count}
