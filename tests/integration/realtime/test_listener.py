"""Wake-ups arrive by each way, and again after what carries them was away."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis as redis_library
from django.db import connection

from carillon.servers import RedisServer
from notifications.infra.process import inbox_listener, inbox_wakeups
from notifications.infra.process.inbox_listener import InboxListener
from notifications.infra.process.wakeups import send_datagrams

PATIENCE_S = 20.0


class Heard:
    """What a listener heard."""

    def __init__(self) -> None:
        self.payloads: queue.Queue[str] = queue.Queue()
        self.listener = InboxListener(self.payloads.put)
        self.listener.start()

    def wait_for(self, payload: str, publish: Callable[[], Any]) -> None:
        """Publishes until it is heard: a listener may be about to begin."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            publish()
            try:
                while self.payloads.get(timeout=0.2) != payload:
                    pass
            except queue.Empty:
                continue
            return
        raise AssertionError(f"{payload} was not heard")


@pytest.fixture
def hear() -> Iterator[Callable[[], Heard]]:
    made: list[Heard] = []

    def begin() -> Heard:
        made.append(Heard())
        return made[-1]

    yield begin
    for each in made:
        each.listener.stop()
        each.listener.join()


@pytest.mark.once
def test_by_redis_and_after_redis_was_lost(
    hear: Callable[[], Heard], redis: RedisServer, override_environment: Any
):
    override_environment(redis_url=redis.url)
    heard = hear()

    def publish(payload: str) -> None:
        with redis_library.Redis.from_url(redis.url) as client:
            client.publish(inbox_wakeups.CHANNEL, payload)

    heard.wait_for("p1", lambda: publish("p1"))
    redis.kill()
    redis.start()
    heard.wait_for("p2", lambda: publish("p2"))


@pytest.mark.django_db(transaction=True)
def test_by_listen_and_after_the_session_ended(hear: Callable[[], Heard]):
    if connection.vendor != "postgresql":
        pytest.skip("LISTEN is PostgreSQL's")
    heard = hear()

    def publish(payload: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [inbox_wakeups.CHANNEL, payload])

    heard.wait_for("p1", lambda: publish("p1"))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        )
    heard.wait_for("p2", lambda: publish("p2"))


@pytest.mark.django_db
@pytest.mark.once
def test_by_datagrams(hear: Callable[[], Heard]):
    heard = hear()

    heard.wait_for("p1", lambda: send_datagrams(["p1"], to=inbox_wakeups.SOCKET))


@pytest.mark.once
def test_an_error_that_was_not_foreseen_ends_no_listener(
    hear: Callable[[], Heard], monkeypatch: pytest.MonkeyPatch
):
    calls: list[int] = []

    def fails_once(on_payload: Callable[[str], None], stops: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise TypeError("an option that this library does not take")
        on_payload("p1")
        stops.wait(0.1)

    monkeypatch.setattr(inbox_listener, "_receiver", lambda: fails_once)
    heard = hear()

    heard.wait_for("p1", lambda: None)
