"""A running `carillon web`, and requests to it."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

from tests.functional.installation import Installation, free_port, wait_until
from tests.pace import pace

SEND = "/api/v1/notifications/send"
SCOPES = "notifications:send,notifications:read,notifications:address,broadcasts,templates:read"


@dataclass
class Response:
    status: int
    headers: Message
    body: bytes
    seconds: float  # scaled to an idle machine

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Web:
    """A running web process."""

    place: Installation
    port: int
    pid: int
    token: str = ""

    def get(self, path: str, timeout: float = 30) -> Response:
        return self.request_path("GET", path, None, timeout)

    def send(self, key: str = "", timeout: float = 30) -> Response:
        body = {
            "user_id": 1,
            "template_path": "user.payment.success",
            "channels": ["in_app"],
            "context": {"amount": "1"},
        }
        return self.request_path("POST", SEND, body, timeout, key)

    def request_path(
        self, method: str, path: str, body: Any, timeout: float = 30, key: str = ""
    ) -> Response:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        if key:
            headers["Idempotency-Key"] = key
        if path.startswith("/admin/"):
            headers["Cookie"] = "sessionid=abcdefghijklmnopqrstuvwxyz012345"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers=headers if self.token else {},
            method=method,
        )
        began = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                read = response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            read = error.code, error.headers, error.read()
        return Response(*read, (time.monotonic() - began) / pace())


@contextlib.contextmanager
def running(place: Installation) -> Iterator[Web]:
    port = free_port()
    words = ("token", "admin", "--kind", "api-key", "--scopes", SCOPES)
    token = place.carillon(*words).stdout.strip()
    with place.running("web", "--port", str(port)) as process:
        web = Web(place, port, process.pid)
        wait_until(lambda: is_up(web))
        web.token = token
        yield web


def is_up(web: Web) -> bool:
    try:
        return web.get("/health/ready", timeout=20).status == 200
    except OSError:
        return False
