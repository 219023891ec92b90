"""The child processes of benchmarks and chaos: `python -m carillon.bench.roles ROLE [ARGUMENT ...]`.

Each prints one JSON object as its last line. A process a role, because what is measured is what
runs in production: several processes over one database.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402 -- Django first
from django.db import connection, transaction  # noqa: E402

from carillon.bench import rawlimit  # noqa: E402
from directory.models import User  # noqa: E402
from notifications.domain.callers import SYSTEM  # noqa: E402
from notifications.models import Category, DeliveryBatch, NotificationTemplate  # noqa: E402
from notifications.services.notification import NotificationService  # noqa: E402
from notifications.worker import Worker  # noqa: E402

TEMPLATE = "bench.payment"
BULK = 10_000
HTML = (
    """<!doctype html><html><body style="font-family:sans-serif;color:#222">
<h1>Hello {{ user.first_name }}</h1><p>We received your payment of <b>{{ amount|currency }}</b>.</p>
<table>{% for item in items|default([]) %}<tr><td>{{ item.name }}</td><td>{{ item.price|currency }}
</td></tr>{% endfor %}</table><p>"""
    + "Thank you for learning with us. " * 40
    + """</p>
<p><a href="{{ app_url }}">{{ app_name }}</a></p></body></html>"""
)


def rss_mb() -> float:
    """The most memory this process has used."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def migrate() -> dict[str, Any]:
    """Lays out the database."""
    call_command("migrate", verbosity=0)
    return {}


def people(count: str) -> dict[str, Any]:
    """Makes users with addresses, and the template that is sent."""
    made = User.objects.bulk_create(
        [
            User(
                username=f"bench{n}",
                email=f"bench{n}@example.com",
                first_name=f"Name{n}",
                last_name="Bench",
                password="!",
            )
            for n in range(int(count))
        ],
        batch_size=1000,
    )
    points = User.contact_points.rel.related_model  # type: ignore[attr-defined]
    points.objects.bulk_create(
        [points(user=user, kind="email", address=user.email) for user in made], batch_size=1000
    )
    NotificationTemplate.objects.create(
        name="Bench payment",
        path=TEMPLATE,
        category=Category.objects.get(key="payment"),
        supported_channels=["in_app", "email"],
        required_variables=["amount"],
        in_app_template="Payment received\n\nHello {{ user.first_name }}, your payment of"
        " {{ amount|currency }} was processed.",
        email_subject_template="Payment of {{ amount|currency }} received",
        email_body_template="Hello {{ user.first_name }},\n\nwe received {{ amount|currency }}.\n",
        email_html_template=HTML,
    )
    return {"users": len(made)}


def accept(count: str, channel: str, drain: str = "") -> dict[str, Any]:
    """Takes in messages by bulk calls; with `drain`, waits until nothing is queued any more."""
    ids = list(User.objects.order_by("pk").values_list("pk", flat=True)[:BULK])
    left, calls = int(count), []
    began = time.monotonic()
    while left > 0:
        part = ids[: min(left, BULK)]
        body = {
            "template_path": TEMPLATE,
            "channel": channel,
            "context": {"course": "Algebra"},
            "recipients": [{"user_id": key, "context": {"amount": 29.99}} for key in part],
        }
        at = time.monotonic()
        answer = NotificationService().send_bulk(body=body, caller=SYSTEM)
        calls.append(time.monotonic() - at)
        left -= answer.accepted
    accepted_s = time.monotonic() - began
    if drain:
        wait_until_empty()
    return {
        "accepted": int(count),
        "accept_s": accepted_s,
        "total_s": time.monotonic() - began,
        "slowest_call_s": max(calls),
        "rss_mb": rss_mb(),
    }


def wait_until_empty() -> None:
    """Polls until no batch is left."""
    while DeliveryBatch.objects.exists():
        time.sleep(0.01)


def drained() -> dict[str, Any]:
    """Measures how long the queue takes to become empty."""
    began = time.monotonic()
    wait_until_empty()
    return {"s": time.monotonic() - began}


def worker(*lanes: str) -> dict[str, Any]:
    """A worker until SIGTERM; its first line says that it listens."""
    running = Worker(lanes=lanes or None)  # type: ignore[arg-type]  # words of lanes
    signal.signal(signal.SIGTERM, lambda *_: running.stop())
    print(json.dumps({"listening": running.owner, "pid": os.getpid()}), flush=True)
    running.run()
    return {"rss_mb": rss_mb()}


def limit(count: str) -> dict[str, Any]:
    """The raw limit of the database for the same rows, in this process and one beside it."""
    return rawlimit.measure(int(count))


def settings() -> dict[str, Any]:
    """What the database promises about durability."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous")
            return {"durability": f"synchronous={cursor.fetchone()[0]} (2 is FULL)"}
        cursor.execute("SHOW synchronous_commit")
        value = cursor.fetchone()[0]
        cursor.execute("SHOW fsync")
        return {"durability": f"synchronous_commit={value}, fsync={cursor.fetchone()[0]}"}


ROLES: dict[str, Callable[..., dict[str, Any]]] = {
    role.__name__: role for role in (migrate, people, accept, drained, worker, limit, settings)
}


def main() -> None:
    random.seed(os.getpid())
    threading.current_thread().name = sys.argv[1]
    print(json.dumps(ROLES[sys.argv[1]](*sys.argv[2:])), flush=True)


if __name__ == "__main__":
    main()
