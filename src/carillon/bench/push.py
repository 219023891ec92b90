"""`bench push`: pushes to a local FCM HTTP v1 server, compared with a bare client loop."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from carillon.bench.harness.environment import BenchEnvironment, bench_environment, machine
from notifications.testing.servers import HTTPSink, ReceivedRequest, Reply

_PEOPLE = 5_000
_PATIENCE_S = 120.0
_TOKEN = json.dumps({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}).encode()
_ACCEPTED = json.dumps({"name": "projects/bench/messages/0:1234567890"}).encode()


def run(*, database: str = "postgres", messages: int = 10_000, workers: int = 2) -> dict[str, Any]:
    """Measures the sending of filled queues, and a process that only POSTs the same request.

    That process has 100 requests in flight. It uses aiohttp, and then our own client, which shows
    how much of the gain is the client's. The server measures from the first request to the last.
    """
    server = _PushServer()
    with HTTPSink(store=False, script=server.respond).run_in_thread() as sink:
        settings: dict[str, Any] = {
            "push_provider": "fcm",
            "fcm_base_url": sink.url,
            "fcm_credentials": "service-account.json",
            "rate_limits": "fcm=off",
        }
        with bench_environment(database, **settings) as env:
            _credentials(env, sink.url)
            figures = {"database": database, "messages": messages, "workers": workers, **machine()}
            figures |= env.run("settings")
            figures |= _carillon(env, messages, workers, server)
            figures["per_s"], figures["arrived"] = server.per_s(), server.count
            for name, role in (("bare_per_s", "bare_http"), ("own_client_per_s", "own_http")):
                bare = _PushServer()
                sink.script = bare.respond
                env.run(role, f"{sink.url}/v1/x", messages)
                figures[name] = bare.per_s()
    figures["ratio"] = round(figures["per_s"] / figures["bare_per_s"], 2)
    return figures


class _PushServer:
    """Responds as Google does, and records when pushes arrived."""

    def __init__(self) -> None:
        self.count = 0
        self._first = self._last = 0.0

    def respond(self, request: ReceivedRequest) -> Reply:
        if request.path == "/token":
            return Reply(body=_TOKEN)
        self._last = time.monotonic()
        self._first = self._first or self._last
        self.count += 1
        return Reply(body=_ACCEPTED)

    def per_s(self) -> int:
        return round((self.count - 1) / (self._last - self._first))


def _credentials(env: BenchEnvironment, url: str) -> None:
    """Writes a service account whose token comes from the sink."""
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
    path = Path(env.folder) / "service-account.json"
    path.write_text(json.dumps(account))
    env.environ["CARILLON_FCM_CREDENTIALS"] = str(path)


def _carillon(
    env: BenchEnvironment, messages: int, workers: int, server: _PushServer
) -> dict[str, Any]:
    env.run("people", _PEOPLE)
    env.run("devices")
    env.run("accept", messages, "push", "", _PEOPLE)
    started = env.workers(workers)
    give_up_at = time.monotonic() + _PATIENCE_S
    while server.count < messages and time.monotonic() < give_up_at:
        time.sleep(0.05)  # a process that polls the database would use part of the two cores
    env.run("drained")
    ended = env.stop(started)
    return {"rss_mb_max": max(each["rss_mb"] for each in ended)}
