"""The child processes of benchmarks: `python -m carillon.bench.harness.roles ROLE [ARGUMENT ...]`.

Each role prints one JSON object as its last line. Each role is a process, because production runs
several processes over one database, and that is measured.
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
from collections.abc import Callable, Sequence
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402 -- Django first
from django.db import connection  # noqa: E402
from django.db.models import Count  # noqa: E402

from carillon.bench.harness import (  # noqa: E402
    celerytask,
    consolerole,
    content,
    crowd,
    duerole,
    moreroles,
    policyrole,
    rawlimit,
    steering,
)
from carillon.bench.harness.realtime import senders  # noqa: E402
from carillon.bench.harness.records import (  # noqa: E402
    ageingrole,
    auditrole,
    insightrole,
    migrationrole,
)
from directory.models import ContactPoint, User  # noqa: E402
from notifications.delivery import base, provider_calls  # noqa: E402
from notifications.delivery.base import NotificationChannelProvider  # noqa: E402
from notifications.domain.callers import SYSTEM  # noqa: E402
from notifications.domain.messages import OutboundMessage, SendResult  # noqa: E402
from notifications.engine.worker import Worker  # noqa: E402
from notifications.features.sending.service import NotificationService  # noqa: E402
from notifications.features.templates.proving import prove_due  # noqa: E402
from notifications.infra import clock  # noqa: E402
from notifications.models import (  # noqa: E402
    Category,
    DeadLetter,
    DeliveryBatch,
    MessageEvent,
    NotificationMessage,
    NotificationTemplate,
    unpack_keys,
)

TEMPLATE = "bench.payment"
BULK = 10_000


def rss_mb() -> float:
    """Returns the peak memory of this process, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def migrate() -> dict[str, Any]:
    """Migrates the database."""
    call_command("migrate", verbosity=0)
    return {}


def people(count: str) -> dict[str, Any]:
    """Creates users with addresses, and the template that is sent."""
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
    ContactPoint.objects.bulk_create(
        [ContactPoint(user=user, kind="email", address=user.email) for user in made],
        batch_size=1000,
    )
    NotificationTemplate.objects.create(
        name="Bench payment",
        path=TEMPLATE,
        category=Category.objects.get(key="payment"),
        supported_channels=["in_app", "email", "push", "telegram"],
        required_variables=["amount"],
        in_app_template=content.IN_APP,
        push_template=content.IN_APP,
        telegram_template=content.IN_APP,
        email_subject_template=content.SUBJECT,
        email_body_template=content.TEXT,
        email_html_template=content.HTML,
    )
    prove_due(now=clock.now())  # as publishing does
    return {"users": len(made), "first_id": made[0].pk}


def ten_links() -> dict[str, Any]:
    """Gives the mail ten links, in its HTML and in its text."""
    row = NotificationTemplate.objects.get(path=TEMPLATE)
    row.email_html_template = content.with_links(content.HTML)
    row.email_body_template = content.TEXT + content.TEXT_LINKS
    row.save()
    prove_due(now=clock.now())
    return {}


def accept(
    count: str, channel: str, drain: str = "", call: str = "", priority: str = "medium"
) -> dict[str, Any]:
    """Accepts messages by bulk calls; with `drain`, waits until nothing is queued."""
    size = int(call or BULK)
    ids = list(User.objects.order_by("pk").values_list("pk", flat=True)[:size])
    left, calls = int(count), []
    began = time.monotonic()
    while left > 0:
        part = ids[: min(left, size)]
        body = {
            "template_path": TEMPLATE,
            "channel": channel,
            "priority": priority,
            "context": {"course": "Algebra"},
            "recipients": [{"user_id": key, "context": {"amount": 29.99}} for key in part],
        }
        at = time.monotonic()
        response = NotificationService().send_bulk(body=body, caller=SYSTEM)
        calls.append(time.monotonic() - at)
        left -= response.accepted
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


def wait_until_empty(channel: str = "") -> None:
    """Polls until no batch is left, of one channel or of all."""
    waiting = DeliveryBatch.objects.filter(channel=channel) if channel else DeliveryBatch.objects
    while waiting.exists():
        time.sleep(0.1)  # polling costs time that is measured


def drained(channel: str = "") -> dict[str, Any]:
    """Measures how long the queue takes to become empty."""
    began = time.monotonic()
    wait_until_empty(channel)
    return {"s": time.monotonic() - began}


def worker(*lanes: str) -> dict[str, Any]:
    """Runs a worker until SIGTERM; its first line reports that it listens."""
    running = Worker(lanes=lanes or None)  # type: ignore[arg-type]  # words of lanes
    signal.signal(signal.SIGTERM, lambda *_: running.stop())
    print(json.dumps({"listening": running.owner, "pid": os.getpid()}), flush=True)
    watch = _Watch()
    running.run()
    return {"rss_mb": rss_mb(), "busy_s": watch.busy_s()}


def noting_worker(*lanes: str) -> dict[str, Any]:
    """Runs a worker that also returns when each of its calls began: [monotonic s, message id]."""
    began: list[tuple[float, int]] = []
    call = base.call_safely

    async def noted(
        provider: NotificationChannelProvider, messages: Sequence[OutboundMessage], timeout_s: float
    ) -> list[SendResult]:
        now = time.monotonic()
        began.extend((now, message.message_id) for message in messages)
        return await call(provider, messages, timeout_s)

    vars(provider_calls)["call_safely"] = noted
    return {**worker(*lanes), "calls": began}


class _Watch:
    """Measures how long a worker was busy: from its start until the queue was last not empty."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            if DeliveryBatch.objects.exists():
                self._last = time.monotonic()
            time.sleep(0.1)  # polling costs time that is measured

    def busy_s(self) -> float:
        return max(0.001, self._last - self._began)


def celery_baseline_worker() -> dict[str, Any]:
    """Runs Celery's own worker with two prefork children, until SIGTERM."""
    celerytask.app.worker_main(["worker", "--pool=prefork", "--concurrency=2", "-l", "ERROR"])
    return {}


def celery_baseline(count: str) -> dict[str, Any]:
    """Publishes a task for each message and waits until each task has marked its message."""
    users = list(User.objects.all()[:1000])
    category_id = Category.objects.get(key="payment").pk
    celerytask.accept(users, 1, category_id)
    _wait_for_sent(1)  # the worker is up
    began = time.monotonic()
    celerytask.accept(users, int(count), category_id)
    _wait_for_sent(int(count) + 1)
    return {"s": time.monotonic() - began}


def _wait_for_sent(count: int) -> None:
    deadline = time.monotonic() + 300
    while NotificationMessage.objects.filter(status="sent").count() < count:
        if time.monotonic() > deadline:
            raise TimeoutError("the worker of the baseline does not deliver")
        time.sleep(0.02)


def limit(count: str) -> dict[str, Any]:
    """Measures the raw limit of the database for the same rows, in this process."""
    return rawlimit.measure(int(count))


def settings() -> dict[str, Any]:
    """Returns the database's settings of durability."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous")
            return {"durability": f"synchronous={cursor.fetchone()[0]} (2 is FULL)"}
        cursor.execute("SHOW synchronous_commit")
        value = cursor.fetchone()[0]
        cursor.execute("SHOW fsync")
        return {"durability": f"synchronous_commit={value}, fsync={cursor.fetchone()[0]}"}


def observe() -> dict[str, Any]:
    """Responds to queries about the database, one per line, until `end`."""
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "end":
            print("null", flush=True)
            break
        print(json.dumps(_QUERIES[word](rest)), flush=True)
    return {}


def _journalled(owner: str) -> int:
    rows = DeliveryBatch.objects.filter(owner=owner).values_list("journal", flat=True)
    return sum(len(unpack_keys(journal)) for journal in rows)


def _tally(_: str) -> dict[str, Any]:
    """Returns all messages by reference, those that were ever uncertain, and the dead letters."""
    names = {
        pk: f"{uuid.hex}.{channel}"
        for pk, channel, uuid in NotificationMessage.objects.values_list(
            "pk", "channel", "notification__uuid"
        ).iterator()
    }
    uncertain = set(
        MessageEvent.objects.filter(kind="uncertain").values_list("message_id", flat=True)
    )
    uncertain |= set(
        NotificationMessage.objects.filter(trail__contains='"uncertain"').values_list(
            "pk", flat=True
        )
    )
    held = DeadLetter.objects.values_list("message_id", flat=True)
    rows = NotificationMessage.objects.values_list("status").annotate(Count("pk"))
    return {
        "all": list(names.values()),
        "uncertain": [names[pk] for pk in uncertain],
        "held": [names[pk] for pk in held],
        "statuses": dict(rows),
    }


_QUERIES: dict[str, Callable[[str], Any]] = {
    "journalled": _journalled,
    "left": lambda _: DeliveryBatch.objects.count(),
    "tally": _tally,
}

ROLES: dict[str, Callable[..., dict[str, Any]]] = {
    role.__name__: role
    for role in (
        migrate,
        people,
        ten_links,
        accept,
        drained,
        worker,
        noting_worker,
        limit,
        settings,
        celery_baseline,
        celery_baseline_worker,
        observe,
        auditrole.audit_write,
        auditrole.audit_seal,
        auditrole.audit_check,
        ageingrole.aged,
        ageingrole.ageing_observer,
        ageingrole.ageing_worker,
        ageingrole.live_messages,
        ageingrole.vacuum_pause,
        migrationrole.readable_rows,
        migrationrole.seal_old,
        consolerole.console_visit,
        consolerole.month_of_messages,
        crowd.audiences,
        crowd.crowd,
        crowd.launch,
        duerole.falling_due,
        duerole.lateness,
        moreroles.api_key,
        moreroles.bare_http,
        moreroles.own_http,
        moreroles.recipients,
        moreroles.chats,
        moreroles.devices,
        moreroles.lookups,
        moreroles.span,
        moreroles.statuses,
        moreroles.critical,
        moreroles.render,
        policyrole.policy,
        insightrole.insight_fill,
        insightrole.insight_read,
        insightrole.insight_write,
        insightrole.insight_roll,
        insightrole.insight_sums,
        moreroles.sample,
        senders.person_tokens,
        senders.personal,
        senders.room,
        senders.room_frames,
        senders.steady,
        senders.arrivals,
        steering.carrier,
        steering.halves,
        steering.retry_together,
        steering.steer,
    )
}


def main() -> None:
    random.seed(os.getpid())
    threading.current_thread().name = sys.argv[1]
    print(json.dumps(ROLES[sys.argv[1]](*sys.argv[2:])), flush=True)


if __name__ == "__main__":
    main()
