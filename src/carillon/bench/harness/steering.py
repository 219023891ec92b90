"""Roles of `chaos --broadcast` and `bench broadcast`.

One role launches broadcasts and controls them by lines on stdin. Others deliver them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, models, transaction
from django.db.models import Count

from directory.models import ContactPoint, Group, GroupMembership, User
from notifications.domain.broadcast_lifecycle import OVER, RecipientState
from notifications.domain.errors import Conflict
from notifications.domain.lifecycle import MessageStatus
from notifications.engine.worker import Worker
from notifications.features.broadcasts import actions
from notifications.features.broadcasts.delivery.launch import continue_launch
from notifications.features.broadcasts.delivery.upkeep import check_counts, maintain_broadcasts
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastChange,
    BroadcastRecipient,
    DeliveryBatch,
    MessageEvent,
    NotificationMessage,
    change_status,
)

_AT_ONCE = 5_000
_TICK_S = 0.2
_POLL_S = 0.01
_CHECK_EVERY = 25  # ticks


def halves(count: str) -> dict[str, Any]:
    """Creates users with mail addresses in two groups: those of even numbers and of odd ones."""
    groups = [Group.objects.create(name=name) for name in ("Even", "Odd")]
    for start in range(0, int(count), _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, int(count)))
        with transaction.atomic():
            made = User.objects.bulk_create(
                User(username=f"half{n}", email=f"half{n}@example.com", password="!")
                for n in numbers
            )
            ContactPoint.objects.bulk_create(
                ContactPoint(user=user, kind="email", address=user.email) for user in made
            )
            GroupMembership.objects.bulk_create(
                GroupMembership(user=user, group=groups[n % 2])
                for n, user in zip(numbers, made, strict=True)
            )
    return {"users": int(count)}


def carrier() -> dict[str, Any]:
    """Runs a worker and the upkeep of broadcasts until SIGTERM; prints its name first."""
    worker = Worker()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    print(json.dumps({"listening": worker.owner, "pid": os.getpid()}), flush=True)
    threading.Thread(target=_run_upkeep, args=(ended,), daemon=True).start()
    worker.run()
    ended.set()
    return {}


def _run_upkeep(ended: threading.Event) -> None:
    ticks = 0
    while not ended.wait(_TICK_S):
        ticks += 1
        try:
            maintain_broadcasts(now=clock.now(), seconds=1.0)
            if ticks % _CHECK_EVERY == 0:
                check_counts(now=clock.now())
        except (DatabaseError, InterfaceError):
            connection.close()


def steer() -> dict[str, Any]:
    """Runs the command of each line of stdin and prints a line of response, until `end`."""
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "end":
            print("null", flush=True)
            break
        print(json.dumps(_VERBS[word](rest)), flush=True)
    return {}


def retry_together(broadcast_id: str, clients: str) -> dict[str, Any]:
    """Has several processes retry at once; returns how many recipients each of them got."""
    connection.close()
    moment = time.time() + 1.0
    pipes = [_fork_retry(int(broadcast_id), moment) for _ in range(int(clients))]
    retried = []
    for end in pipes:
        with os.fdopen(end) as response:
            retried.append(int(response.read()))
    return {"retried": retried}


def _fork_retry(broadcast_id: int, moment: float) -> int:
    """Starts a client in its own process; returns the pipe of its response."""
    ours, theirs = os.pipe()
    if os.fork():
        os.close(theirs)
        return ours
    connection.ensure_connection()
    time.sleep(max(0.0, moment - time.time()))
    count = actions.retry(broadcast_id, now=clock.now())
    os.write(theirs, str(count).encode())
    os._exit(0)


def _launch(words: str) -> int:
    """Launches a broadcast: `GROUP [CHANNEL]`. `all` means all users; the default is email."""
    group, _, channel = words.partition(" ")
    target = {} if group == "all" else {"group_id": Group.objects.get(name=group).pk}
    made = Broadcast.objects.create(
        target_group="group" if target else "all",
        target_filter=target,
        title="School is closed",
        message="Snow everywhere, see you on Monday.",
        channels=[channel or "email"],
    )
    actions.launch(made.pk, now=clock.now())
    return made.pk


def _act(verb: Callable[..., Any]) -> Callable[[str], dict[str, Any]]:
    def act(broadcast_id: str) -> dict[str, Any]:
        began = time.monotonic()
        try:
            done = verb(int(broadcast_id), now=clock.now())
        except Conflict as conflict:
            return {"refused": conflict.detail}
        ms = (time.monotonic() - began) * 1000
        return {"ms": ms, "count": done if isinstance(done, int) else None}

    return act


def _progress(broadcast_id: str) -> dict[str, Any]:
    began = time.monotonic()
    progress = actions.progress(int(broadcast_id), now=clock.now())
    counts = {state.value: getattr(progress, f"{state}_count") for state in RecipientState}
    return {
        "ms": (time.monotonic() - began) * 1000,
        "status": progress.status,
        "total": progress.total_recipients,
        "rate": progress.rate_per_second,
        **counts,
    }


def _poll(broadcast_id: str) -> dict[str, Any]:
    """Polls the progress until half of the recipients are no longer pending."""
    took = []
    while True:
        progress = _progress(broadcast_id)
        took.append(progress["ms"])
        if progress["total"] and progress["pending"] * 2 <= progress["total"]:
            break
        time.sleep(_POLL_S)
    took.sort()
    last = len(took) - 1
    return {
        "polls": len(took),
        "p50_ms": round(took[last // 2], 2),
        "p99_ms": round(took[int(last * 0.99)], 2),
        "rate": progress["rate"],
    }


def check(_: str = "") -> list[str]:
    """Returns where counters and recipients disagree, in one snapshot."""
    wrong = []
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for broadcast in Broadcast.objects.order_by("pk"):
            rows = BroadcastRecipient.objects.filter(broadcast=broadcast).order_by()
            states = dict(rows.values_list("state").annotate(Count("pk")))
            tally = broadcast.tally
            counted = {str(state.value): getattr(tally, state) for state in RecipientState}
            there = {name: states.get(name, 0) for name in counted}
            if counted != there or not tally.is_consistent or tally.total != sum(there.values()):
                wrong.append(
                    f"broadcast {broadcast.pk} ({broadcast.status}): {counted}, rows {there}"
                )
    return wrong


def _tally(_: str) -> dict[str, Any]:
    """Returns the references of recipients by state, and those ever uncertain."""
    by_state: dict[str, list[str]] = {}
    rows = BroadcastRecipient.objects.order_by("pk").values_list("state", "notification_id")
    names = {
        key: f"{uuid.hex}.{channel}"
        for key, uuid, channel in NotificationMessage.objects.values_list(
            "notification_id", "notification__uuid", "channel"
        ).iterator()
    }
    for state, key in rows.iterator():
        by_state.setdefault(state, []).append(names.get(key or 0, ""))
    uncertain = _ever_uncertain().values_list("notification_id", flat=True)
    return {"states": by_state, "uncertain": [names[key] for key in uncertain]}


def _ever_uncertain() -> models.QuerySet[NotificationMessage]:
    events = MessageEvent.objects.filter(kind="uncertain").values("message_id")
    in_trail = models.Q(trail__contains='"uncertain"')
    return NotificationMessage.objects.filter(models.Q(pk__in=events) | in_trail)


def _open(_: str) -> int:
    """Counts the broadcasts that are not over, or not cleared."""
    over = models.Q(status__in=[*OVER, "sent"], cleared=True)
    return Broadcast.objects.exclude(over).count()


def _fail(broadcast_id: str) -> int:
    """Fails every message of a broadcast, as its provider would, and returns how many."""
    broadcast = Broadcast.objects.get(pk=int(broadcast_id))
    continue_launch(broadcast.pk)
    keys = NotificationMessage.objects.filter(notification__source=broadcast.source)
    with transaction.atomic():
        moved = change_status(
            list(keys.values_list("pk", flat=True)),
            MessageStatus.FAILED,
            reason="bench",
            fields={"last_error": "mailbox full"},
        )
        failed = keys.filter(pk__in=moved).values_list("notification__source", "notification_id")
        BroadcastChange.objects.append(failed)
        DeliveryBatch.objects.filter(source=broadcast.source).delete()
    maintain_broadcasts(now=clock.now())
    return len(moved)


def _waiting(broadcast_id: str) -> int:
    """Returns 1 while a cancelled broadcast is not cleared, then 0."""
    return Broadcast.objects.filter(pk=int(broadcast_id), cleared=False).count()


_VERBS: dict[str, Callable[[str], Any]] = {
    "launch": _launch,
    "pause": _act(actions.pause),
    "resume": _act(actions.resume),
    "cancel": _act(actions.cancel),
    "retry": _act(actions.retry),
    "poll": _poll,
    "progress": _progress,
    "check": check,
    "fail": _fail,
    "open": _open,
    "tally": _tally,
    "waiting": _waiting,
}
