"""`bench push`: pushes to a local server that speaks FCM HTTP v1, beside a bare client loop."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from carillon.bench.harness.ground import Ground, ground, machine
from notifications.testing.servers import HTTPSink, ReceivedRequest, Reply

_PEOPLE = 5_000
_PATIENCE_S = 120.0
_TOKEN = json.dumps({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}).encode()
_TAKEN = json.dumps({"name": "projects/bench/messages/0:1234567890"}).encode()


def run(*, database: str = "postgres", messages: int = 10_000, workers: int = 2) -> dict[str, Any]:
    """Sending filled queues, and one process that only POSTs the same request, 100 at a time, with
    aiohttp; and with our own client, to tell how much of the gain is the client's.

    Both are measured by the server: from the first request to the last.
    """
    seen = _Seen()
    with HTTPSink(store=False, script=seen.answer).run_in_thread() as sink:
        settings: dict[str, Any] = {
            "push_provider": "fcm",
            "fcm_base_url": sink.url,
            "fcm_credentials": "service-account.json",
            "rate_limits": "fcm=off",
        }
        with ground(database, **settings) as place:
            _credentials(place, sink.url)
            answer = {"database": database, "messages": messages, "workers": workers, **machine()}
            answer |= place.run("settings")
            answer |= _carillon(place, messages, workers, seen)
            answer["per_s"], answer["arrived"] = seen.per_s(), seen.count
            for name, role in (("bare_per_s", "bare_http"), ("own_client_per_s", "own_http")):
                bare = _Seen()
                sink.script = bare.answer
                place.run(role, f"{sink.url}/v1/x", messages)
                answer[name] = bare.per_s()
    answer["ratio"] = round(answer["per_s"] / answer["bare_per_s"], 2)
    return answer


class _Seen:
    """Answers as Google does, and notes when pushes came in."""

    def __init__(self) -> None:
        self.count = 0
        self._first = self._last = 0.0

    def answer(self, request: ReceivedRequest) -> Reply:
        if request.path == "/token":
            return Reply(body=_TOKEN)
        self._last = time.monotonic()
        self._first = self._first or self._last
        self.count += 1
        return Reply(body=_TAKEN)

    def per_s(self) -> int:
        return round((self.count - 1) / (self._last - self._first))


def _credentials(place: Ground, url: str) -> None:
    """A service account whose token comes from the sink."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    account = {
        "project_id": "bench",
        "client_email": "bench@bench.example",
        "private_key": pem,
        "token_uri": f"{url}/token",
    }
    path = Path(place.folder) / "service-account.json"
    path.write_text(json.dumps(account))
    place.environ["CARILLON_FCM_CREDENTIALS"] = str(path)


def _carillon(place: Ground, messages: int, workers: int, seen: _Seen) -> dict[str, Any]:
    place.run("people", _PEOPLE)
    place.run("devices")
    place.run("accept", messages, "push", "", _PEOPLE)
    started = place.workers(workers)
    give_up_at = time.monotonic() + _PATIENCE_S
    while seen.count < messages and time.monotonic() < give_up_at:
        time.sleep(0.05)  # a process that asks the database would take part of the two cores
    place.run("drained")
    ended = place.stop(started)
    return {"rss_mb_max": max(each["rss_mb"] for each in ended)}
