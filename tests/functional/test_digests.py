"""Digest buckets with many processes: eight add to them and close them at once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from carillon.bench.harness.environment import BenchEnvironment, bench_environment

pytestmark = pytest.mark.processes

PEOPLE = 4
PROCESSES = 8
ROUNDS = 8
AT_ONCE = 5

LAY = f"""
from directory.models import User
from notifications.models import UserNotificationPreference
for number in range({PEOPLE}):
    user = User.objects.create(username=f"p{{number}}", email=f"p{{number}}@example.com")
    UserNotificationPreference.objects.create(user=user, digest_frequency="hourly")
"""

# Each process has its own clock, ten minutes ahead after each round. So messages arrive before and
# after every full hour while other processes close the hour.
HAND = f"""
import json, sys
from datetime import UTC, datetime, timedelta
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.infra import clock
from notifications.models import Category, Notification, NotificationMessage
from notifications.queue import batches
from notifications.queue.leases import NewBatch
from notifications.engine.runs import deliver_rows
from notifications.features.upkeep.digests import close_due

me = sys.argv[1]
now = [datetime(2030, 5, 1, 12, 0, tzinfo=UTC) + timedelta(seconds=int(me))]
users = list(User.objects.order_by("id"))
category = Category.objects.get(key="course").pk
closed = 0
with clock.reading(lambda: now[0]):
    for round in range({ROUNDS}):
        keys = []
        for number in range({AT_ONCE}):
            user = users[(round + number) % len(users)]
            made = Notification(user=user, category_id=category, source=me, text={{"title": "T",
                                "message": f"{{me}}/{{round}}/{{number}}"}})
            made.save()
            NotificationMessage.objects.create(id=made.pk, notification=made, user=user,
                                               channel="in_app", scheduled_at=now[0])
            keys.append(made.pk)
        (batch,) = batches.insert([NewBatch("default", "in_app", me, now[0], keys)])
        NotificationMessage.objects.filter(pk__in=keys).update(batch_id=batch)
        held = batches.lease_one(batch, owner=me, seconds=60)
        deliver_rows([held], owner=me)
        now[0] += timedelta(minutes=10)
        closed += close_due(now=now[0])
print(json.dumps({{"closed": closed}}))
"""

LAST = """
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from notifications.infra import clock
from notifications.models import *
from notifications.policy.facts import DIGEST_SOURCE
from notifications.queue import batches
from notifications.engine.runs import deliver_rows
from notifications.features.upkeep.digests import close_due

end = [datetime(2030, 5, 2, tzinfo=UTC)]


def deliver():
    for lane in ("default", "bulk"):
        while leases := batches.lease(owner="last", lane=lane, seconds=60):
            deliver_rows(leases, owner="last")


with clock.reading(lambda: end[0]):
    deliver()  # what came too late for its own digest goes into the one of this hour
    end[0] += timedelta(hours=1)
    closed = close_due(now=end[0])
    deliver()
digests = Notification.objects.filter(source=DIGEST_SOURCE)
listed = [item["text"] for d in digests for group in d.context["groups"] for item in group["items"]]
print(json.dumps({
    "closed": closed,
    "statuses": dict(Counter(NotificationMessage.objects.exclude(
        notification__source=DIGEST_SOURCE).values_list("status", flat=True))),
    "digests": dict(Counter(NotificationMessage.objects.filter(
        notification__source=DIGEST_SOURCE).values_list("status", flat=True))),
    "items": DigestItem.objects.count(),
    "buckets": DigestBucket.objects.count(),
    "open": DigestBucket.objects.filter(closed_at__isnull=True).count(),
    "empty": DigestBucket.objects.filter(items__isnull=True).count(),
    "late": sum(item.at >= item.bucket.closes_at for item in
                DigestItem.objects.select_related("bucket")),
    "listed": dict(Counter(listed)),
    "counted": sum(group["count"] for d in digests for group in d.context["groups"]),
}))
"""


def start(place: BenchEnvironment, script: str, *arguments: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup()\n{script}", *arguments],
        env=place.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    place.children.append(child)
    return child


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_every_item_is_in_exactly_one_digest_and_none_is_empty(database):
    with bench_environment(database) as place:
        start(place, LAY).wait(60)
        hands = [start(place, HAND, str(number)) for number in range(PROCESSES)]
        closed = sum(place.result(hand)["closed"] for hand in hands)
        end = json.loads(start(place, LAST).communicate(timeout=120)[0].splitlines()[-1])

    messages = PROCESSES * ROUNDS * AT_ONCE
    assert end["statuses"] == {"digested": messages}
    assert end["items"] == messages
    assert (end["open"], end["empty"], end["late"]) == (0, 0, 0)
    assert closed + end["closed"] == end["buckets"] == sum(end["digests"].values())
    assert closed > 0
    assert set(end["digests"]) == {"delivered"}
    assert end["counted"] == messages
    assert set(end["listed"].values()) == {1}
