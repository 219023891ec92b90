"""A locust file: the platform's load of the source system, by stages of concurrent users.

Each user sends a bulk of two and reads a user's preferences once a second. `bench load` runs it.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

from locust import FastHttpUser, LoadTestShape, constant_pacing, task

GIVEN = json.loads(os.environ["CARILLON_LOAD"])
"""token, hosts, first (user id), people, sends, stages: [seconds, users at their end]."""
_hosts = itertools.cycle(GIVEN["hosts"])
_places: Iterator[int] = itertools.count()


class Stages(LoadTestShape):  # type: ignore[misc]  # locust has no types
    """Users rise or fall evenly to the number at the end of each stage."""

    def tick(self) -> tuple[int, float] | None:
        """Returns the users of this moment, and how many may start a second."""
        began, before = 0.0, 0
        for seconds, users in GIVEN["stages"]:
            passed = self.get_run_time() - began
            if passed < seconds:
                return max(1, round(before + (users - before) * passed / seconds)), 500
            began, before = began + seconds, users
        return None


class Platform(FastHttpUser):  # type: ignore[misc]  # locust has no types
    """One user of the load test."""

    wait_time = constant_pacing(1)

    def __init__(self, environment: Any) -> None:
        self.host = next(_hosts)
        super().__init__(environment)

    @task  # type: ignore[untyped-decorator]  # locust has no types
    def second(self) -> None:
        """What a user does each second."""
        person = GIVEN["first"] + next(_places) % GIVEN["people"]
        headers = {"Authorization": f"Bearer {GIVEN['token']}"}
        listed = [{"user_id": person, "channel": channel} for channel in ("in_app", "email")]
        body = {"template_path": "bench.payment", "context": {"amount": 29.99}}
        path = "/api/v1/notifications/bulk"
        self._call(202, "POST", path, json={**body, "recipients": listed}, headers=headers)
        path = f"/api/v1/preferences?user_id={person}"
        self._call(200, "GET", path, name="/api/v1/preferences", headers=headers)
        if GIVEN["sends"]:
            single = {**body, "user_id": person, "channel": "in_app"}
            self._call(201, "POST", "/api/v1/notifications/send", json=single, headers=headers)

    def _call(self, status: int, method: str, path: str, **given: Any) -> None:
        with self.client.request(method, path, catch_response=True, **given) as response:
            if response.status_code != status:
                response.failure(f"{response.status_code} in place of {status}")
