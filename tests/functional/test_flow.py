"""Limits and breakers among real worker processes."""

from __future__ import annotations

import threading
from collections import defaultdict

import pytest

from carillon.bench import limits
from carillon.bench.harness.environment import bench_environment
from carillon.bench.limits import most_in_any_window
from notifications.testing.servers import Act, HTTPSink, Reply, SMTPSink

pytestmark = pytest.mark.processes
BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"])


def mail_settings(sink, **more):
    return {
        "email_provider": "smtp",
        "smtp_host": sink.host,
        "smtp_port": str(sink.port),
        "smtp_tls": "none",
        **more,
    }


@BOTH
def test_four_workers_never_exceed_a_limit(database):
    """Limits do not depend on Redis. tests/unit/domain/test_flow.py and a benchmark check how much
    of a limit is used."""
    figures = limits.run(database=database, messages=500)

    assert figures["arrived"] == 500
    assert figures["most_in_any_second"] <= figures["limit_per_s"]


def test_telegram_respects_its_limit_and_that_of_every_chat():
    body = b'{"ok": true, "result": {"message_id": 7}}'
    with HTTPSink(store=False, script=lambda _: Reply(body=body)).run_in_thread() as sink:
        settings = {
            "telegram_provider": "telegram",
            "telegram_bot_token": "1:secret",
            "telegram_base_url": sink.url,
        }
        with bench_environment("postgres", **settings) as place:
            place.run("people", 40)
            place.run("chats", 40)
            place.run("accept", 120, "telegram", "", 40)  # three to each chat
            workers = place.workers(2, role="noting_worker")
            place.run("drained")
            calls = [call for ended in place.stop(workers) for call in ended["calls"]]
            users = place.run("recipients")

    assert sink.count == 120
    assert most_in_any_window([at for at, _ in calls], 1.0) <= 30
    by_chat = defaultdict(list)
    for at, message_id in calls:
        by_chat[users[str(message_id)]].append(at)
    assert all(most_in_any_window(times, 1.0) == 1 for times in by_chat.values())


def test_a_dead_server_uses_no_attempts_and_delivery_resumes_by_itself():
    dead = threading.Event()
    dead.set()
    refused = []

    def script(verb, _line):
        if verb == "CONNECT" and dead.is_set():
            refused.append(verb)
            return Act.DROP
        return None

    with SMTPSink(store=False, script=script).run_in_thread() as sink:
        settings = mail_settings(sink, rate_limits="smtp=off", breaker_open_seconds="2")
        with bench_environment("sqlite", **settings) as place:
            place.run("people", 200)
            workers = place.workers(2)
            place.run("accept", 400, "email", "", 200)
            place.run("accept", 400, "in_app", "", 200)
            place.run("drained", "in_app")
            pending = place.run("statuses", "email")
            dead.clear()
            place.run("drained")
            ended = place.run("statuses", "email")
            place.stop(workers)

    assert pending == {"pending": 400}
    assert ended == {"sent": 400}
    assert sink.count == 400
