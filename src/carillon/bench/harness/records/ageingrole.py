"""Child processes of `bench ageing`: old rows, a worker with its upkeep, live messages, sizes."""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import sys
import threading
import time
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.domain.identifiers import public_id
from notifications.engine.worker import Worker
from notifications.features.sending.service import NotificationService
from notifications.features.upkeep.service import BackgroundWork
from notifications.infra import clock
from notifications.infra.crypto import seal_json
from notifications.intake.columns import MESSAGE_COLUMNS, NOTIFICATION_COLUMNS
from notifications.models import (
    Category,
    Notification,
    NotificationMessage,
    RetentionProgress,
    reserve_keys,
)
from notifications.models.delivery.hot import MESSAGES, NOTIFICATIONS, hot
from notifications.models.delivery.hot_rows import ATTEMPT_COLUMNS

_AT_ONCE = 10_000
_BULK = 50
_GAP_S = 0.1
_WARM_UP = 20
"""Critical messages of the first two seconds do not count: the worker still starts."""
TABLES = (
    NOTIFICATIONS,
    MESSAGES,
    "notifications_deliveryattempt",
    "notifications_messageevent",
)


def aged(count: str, days: str) -> dict[str, Any]:
    """Inserts messages of so many days ago, each with a notification, an attempt and an event.

    Their keys are above those of younger messages, which no real row's are. So the upkeep begins
    at the first of them.
    """
    at = clock.now() - timedelta(days=int(days))
    category = Category.objects.get(key="payment").pk
    RetentionProgress.objects.update(position=reserve_keys(1)[0], next_at=clock.now())
    began, last = time.monotonic(), 0
    for _ in range(0, int(count), _AT_ONCE):
        with transaction.atomic():
            last = insert_messages(at, category)
    return {"fill_s": round(time.monotonic() - began, 1), "last_key": last}


def insert_messages(
    at: Any,
    category: int,
    *,
    people: int = 1_000,
    channel: str = "email",
    status: str = "delivered",
) -> int:
    """Inserts 10,000 messages, each with a notification, an attempt and an event.

    people: the users 1 to this number have them in turn. Returns the last key.
    """
    keys = reserve_keys(_AT_ONCE)
    moment, ms = hot().time_value(at), clock.epoch_ms(at)
    context = seal_json({"amount": 29.99, "course": "Algebra"})
    content = seal_json({"title": "Payment received", "body": "x" * 80, "data": {}})
    trail = f'[{ms}, "delivered", "in_app"]'
    tail = (None, category, None, None, "payment", 3, "bench", "", None, context, None, moment)
    rest = (None, None, None, None, None, None, False, moment)
    hot().insert_rows(
        NOTIFICATIONS,
        NOTIFICATION_COLUMNS,
        [(key, public_id(key, ms, 0).hex, key % people + 1, *tail, *rest) for key in keys],
    )
    hot().insert_rows(
        MESSAGES,
        (*MESSAGE_COLUMNS, "content", "trail", "sent_at", "delivered_at"),
        [
            (key, key, key % people + 1, channel, 3, status, None, moment, 1, 3, content, trail,
             moment, moment)
            for key in keys
        ],
    )  # fmt: skip
    response = seal_json({"raw": "250 2.0.0 Ok: queued"})
    columns = [column for column in ATTEMPT_COLUMNS if column != "device_id"]
    values = {"number": 1, "provider": "smtp", "verdict": "sent", "error_code": "", "error": "",
              "response": response, "duration_ms": 12, "at": moment}  # fmt: skip
    hot().insert_rows(
        TABLES[2],
        columns,
        [
            tuple(
                {**values, "message_id": key, "provider_message_id": f"<{key}@b>"}[c]
                for c in columns
            )
            for key in keys
        ],
    )
    hot().insert_rows(
        TABLES[3],
        ("message_id", "kind", "reason", "at"),
        [(key, "delivered", "receipt", moment) for key in keys],
    )
    return keys[-1]


def ageing_worker() -> dict[str, Any]:
    """Runs a worker with its periodic loops until SIGTERM, as `carillon worker` does."""
    running = Worker()
    signal.signal(signal.SIGTERM, lambda *_: running.stop())
    standing = BackgroundWork(owner=running.owner)
    print(json.dumps({"listening": running.owner, "pid": os.getpid()}), flush=True)
    standing.start()
    running.run()
    standing.stop()
    return {"rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}


def live_messages(rate: str) -> dict[str, Any]:
    """Sends `rate` messages a second and ten critical ones; returns how long those waited.

    Begins at a line of stdin and ends at SIGTERM.
    """
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    people = list(User.objects.order_by("pk").values_list("pk", flat=True)[:1_000])
    print("{}", flush=True)
    sys.stdin.readline()
    began, sent = time.monotonic(), 0
    critical: list[Any] = []
    while not ended.is_set():
        due = int((time.monotonic() - began) * int(rate))
        if sent < due:
            _send_bulk(people, min(due - sent, _BULK), sent)
            sent += min(due - sent, _BULK)
        if len(critical) < (time.monotonic() - began) / _GAP_S:
            critical.append(_send_critical(people[len(critical) % len(people)]))
        if sent >= due:
            ended.wait(0.005)
    seconds = time.monotonic() - began
    waits = _waits(len(critical) - _WARM_UP)
    return {"live_messages": sent, "live_per_s": round(sent / seconds), **waits}


def _send_bulk(people: list[int], count: int, start: int) -> None:
    chosen = [people[(start + n) % len(people)] for n in range(count)]
    body = {
        "template_path": "bench.payment",
        "channel": "in_app",
        "context": {"course": "Algebra"},
        "recipients": [{"user_id": key, "context": {"amount": 29.99}} for key in chosen],
    }
    NotificationService().send_bulk(body=body, caller=SYSTEM)


def _send_critical(user_id: int) -> Any:
    body = {
        "template_path": "bench.payment",
        "user_id": user_id,
        "channel": "in_app",
        "priority": "critical",
        "context": {"amount": 1},
    }
    return NotificationService().send(body=body, caller=SYSTEM).id


def _waits(count: int) -> dict[str, Any]:
    rows = NotificationMessage.objects.filter(priority=1).order_by("-pk")[:count]
    deadline = time.monotonic() + 60
    while any(row is None for row in rows.values_list("delivered_at", flat=True)):
        if time.monotonic() > deadline:
            raise TimeoutError("critical messages are not delivered")
        time.sleep(0.1)
    times = rows.values_list("delivered_at", "notification__created_at")
    waits = [(done - made).total_seconds() for done, made in times if done]
    cuts = statistics.quantiles(waits, n=100)
    return {
        "critical": len(waits),
        "critical_p50_s": round(cuts[49], 4),
        "critical_p99_s": round(cuts[98], 4),
        "critical_max_s": round(max(waits), 4),
    }


def ageing_observer() -> dict[str, Any]:
    """Responds to queries about old rows and the size of the database, one a line, until `end`."""
    queries: dict[str, Any] = {"state": _state, "size": lambda _: _size(), "dead": _dead}
    queries["used"] = lambda _: _used()
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "end":
            print("null", flush=True)
            break
        print(json.dumps(queries[word](rest)), flush=True)
    return {}


def _state(words: str) -> dict[str, Any]:
    """Returns whether aged rows are left (`facts KEY`, `contents KEY`), and the rows done."""
    rule, last = words.split()
    rows = RetentionProgress.objects.filter(rule=rule, category_id=0)
    place = rows.values_list("position", flat=True).first() or 0
    total = RetentionProgress.objects.aggregate(Sum("done"))["done__sum"] or 0
    left = place < int(last)
    if rule == "facts" and not left:
        left = Notification.objects.filter(pk__lte=int(last), source="bench").exists()
    return {"left": left, "done": total}


def _size() -> int:
    """Returns the bytes of the four tables with indexes; of the file without its WAL on SQLite."""
    if connection.vendor == "sqlite":
        return _pragma("page_count") * _pragma("page_size")
    with connection.cursor() as cursor:
        total = "+".join(f"pg_total_relation_size('{table}')" for table in TABLES)
        cursor.execute(f"SELECT {total}")
        return int(cursor.fetchone()[0])


def _used() -> int:
    """Returns the bytes in use: on SQLite those of the file without its free pages."""
    if connection.vendor == "sqlite":
        return (_pragma("page_count") - _pragma("freelist_count")) * _pragma("page_size")
    return _size()


def _pragma(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchone()[0])


def vacuum_pause(seconds: str) -> dict[str, Any]:
    """Sets how long autovacuum pauses between its looks at a database; nothing on SQLite."""
    if connection.vendor == "sqlite":
        return {}
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER SYSTEM SET autovacuum_naptime = '{int(seconds)}s'")
        cursor.execute("SELECT pg_reload_conf()")
    return {"autovacuum_naptime_s": int(seconds)}


def _dead(_: str) -> dict[str, int]:
    """Returns the dead rows that autovacuum has not removed yet; 0 on SQLite."""
    if connection.vendor == "sqlite":
        return {"dead": 0, "vacuums": 0}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(n_dead_tup), 0), coalesce(sum(autovacuum_count), 0)"
            " FROM pg_stat_user_tables WHERE relname = ANY(%s)",
            [list(TABLES)],
        )
        dead, vacuums = cursor.fetchone()
    return {"dead": int(dead), "vacuums": int(vacuums)}
