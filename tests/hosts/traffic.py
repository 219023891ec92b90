"""Clients that keep sending whatever happens, and what became of each thing they sent."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from notifications.testing.servers import ReceivedMail
from tests.hosts.lab import Lab

PREPARE = """
import json
from carillon.bench.harness import roles
from directory.models import User
from notifications.models import ApiKey
roles.migrate()
roles.people("40")
print(json.dumps({
    "key": ApiKey.make(name="clients", scopes=["notifications:send", "priority:critical"])[1],
    "users": list(User.objects.order_by("pk").values_list("pk", flat=True)),
}))
"""
REPORT = """
import json
from carillon.bench.harness import roles
from notifications.models import NotificationMessage
print(json.dumps({
    "tally": roles._tally(""),
    "created": {
        f"{uuid.hex}.email": at.timestamp()
        for uuid, at in NotificationMessage.objects.values_list(
            "notification__uuid", "notification__created_at"
        )
    },
}))
"""
_REFERENCE = re.compile(rb"^Message-ID: <([0-9a-f]{32}\.email)@", re.MULTILINE | re.IGNORECASE)
_TRY_S = 10.0
_GAP_S = 0.15
_CLIENTS = 8


@dataclass
class Arrivals:
    """When each mail reached the provider, by the reference that travels in it."""

    at: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, mail: ReceivedMail) -> None:
        found = _REFERENCE.search(mail.content)
        assert found, mail.content[:300]
        self.at[found.group(1).decode()].append(time.time())


class Traffic:
    """Sends a mail every so often, every other one critical. Each client repeats what was not taken
    in, with the same Idempotency-Key, until it is. `url` may change meanwhile."""

    def __init__(self, url: str, prepared: dict[str, Any]) -> None:
        self.url = url
        self._key, self._users = prepared["key"], prepared["users"]
        self.began_at = time.time()
        self._run_id = uuid.uuid4().hex
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.accepted: dict[str, bool] = {}
        """By reference: whether it is critical."""
        self.refusals: list[str] = []
        """Responses that no client may get, whatever is broken."""
        self.sent = 0

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Sends no more, and waits until everything sent was taken in."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(_CLIENTS) as clients:
            while not self._ended.wait(_GAP_S):
                self.sent += 1
                clients.submit(self._send, self.sent)

    def _send(self, number: int) -> None:
        critical = number % 2 == 0
        body = {
            "template_path": "bench.payment",
            "user_id": self._users[number % len(self._users)],
            "channel": "email",
            "priority": "critical" if critical else "medium",
            "context": {"course": "Algebra", "amount": number},
        }
        key = f"{self._run_id}-{number}"
        while not self._is_taken_in(json.dumps(body).encode(), key, critical):
            time.sleep(0.2)

    def _is_taken_in(self, body: bytes, key: str, critical: bool) -> bool:
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        url = f"{self.url}/api/v1/notifications/send"
        try:
            request = urllib.request.Request(url, data=body, headers=headers)
            with urllib.request.urlopen(request, timeout=_TRY_S) as answer:
                made = json.load(answer)["id"].replace("-", "")
        except urllib.error.HTTPError as error:
            with error:
                reported = f"{error.code} {error.read().decode()}"
            if error.code in (409, 503):
                return False
            self.refusals.append(reported)
            return True
        except OSError:
            return False
        self.accepted[f"{made}.email"] = critical
        return True


@dataclass(frozen=True)
class Outcome:
    """What became of all that was sent. Waits are in seconds, by reference."""

    lost: list[str]
    silently_twice: list[str]
    unasked: list[str]
    waits: dict[str, float]
    critical: set[str]
    statuses: dict[str, int]

    def longest(self, *, critical: bool) -> float:
        """The longest wait of the critical ones, or of all others."""
        of_kind = [wait for name, wait in self.waits.items() if (name in self.critical) == critical]
        return max(of_kind, default=0.0)


def outcome(lab: Lab, traffic: Traffic, arrivals: Arrivals, *, since: float) -> Outcome:
    """Compares the responses since a time, what the tables say and what the provider got.

    A message that was in doubt may have arrived twice, if its events say so; one that a person
    holds may not have arrived.
    """
    report = json.loads(lab.python(REPORT))
    tally, created = report["tally"], report["created"]
    doubtful, held = set(tally["uncertain"]), set(tally["held"])
    created = {name: at for name, at in created.items() if at >= since}
    arrived = {name: times for name, times in arrivals.at.items() if name in created}
    return Outcome(
        lost=[name for name in traffic.accepted if name not in arrived and name not in held],
        silently_twice=[
            name for name, times in arrived.items() if len(times) > 1 and name not in doubtful
        ],
        unasked=[name for name in created if name not in traffic.accepted],
        waits={name: times[0] - created[name] for name, times in arrived.items()},
        critical={name for name, critical in traffic.accepted.items() if critical},
        statuses=tally["statuses"],
    )


def health(url: str) -> tuple[int, list[str]]:
    """The status of /health, and its reasons; it must answer within 4 s, whatever is broken."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=4) as answer:
            return answer.status, json.load(answer)["reasons"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["reasons"]
