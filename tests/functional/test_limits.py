"""A frequency cap under concurrency: four processes deliver to one user at once."""

from __future__ import annotations

import json

import pytest

from carillon.bench.harness.environment import bench_environment
from tests.functional.test_digests import start

pytestmark = pytest.mark.processes

PROCESSES = 4
MESSAGES = 60
CAP = 50

SETUP = f"""
from directory.models import User
from notifications.models import Category, Notification, NotificationMessage
from notifications.queue import batches
from notifications.queue.leases import NewBatch

user = User.objects.create(username="p", email="p@example.com")
caps = [{{"limit": {CAP}, "window_s": 86400}}]
Category.objects.filter(key="course").update(caps=caps)
category = Category.objects.get(key="course").pk
for number in range({MESSAGES * PROCESSES // 20}):
    keys = []
    for _ in range(20):
        made = Notification(user=user, category_id=category, text={{"title": "T", "message": "M"}})
        made.save()
        NotificationMessage.objects.create(id=made.pk, notification=made, user=user,
                                           channel="email", scheduled_at=made.created_at)
        keys.append(made.pk)
    (batch,) = batches.insert([NewBatch("default", "email", f"s{{number}}", None, keys)])
    NotificationMessage.objects.filter(pk__in=keys).update(batch_id=batch)
"""

DELIVER = """
import sys
from notifications.queue import batches
from notifications.engine.runs import deliver_rows

while leases := batches.lease(owner=sys.argv[1], lane="default", seconds=60):
    deliver_rows(leases, owner=sys.argv[1])
print("{}")
"""

COUNT = """
import json
from collections import Counter
from notifications.models import *

print(json.dumps({
    "statuses": dict(Counter(NotificationMessage.objects.values_list("status", flat=True))),
    "counted": len(FrequencyCount.objects.get().entries.split()),
    "sent": SandboxMessage.objects.count(),
}))
"""


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_cap_is_reached_and_never_exceeded(database):
    with bench_environment(database) as place:
        start(place, SETUP).wait(60)
        processes = [start(place, DELIVER, f"w{number}") for number in range(PROCESSES)]
        for process in processes:
            place.result(process)
        end = json.loads(start(place, COUNT).communicate(timeout=60)[0].splitlines()[-1])

    assert end["statuses"] == {"sent": CAP, "suppressed": MESSAGES * PROCESSES - CAP}
    assert (end["counted"], end["sent"]) == (CAP, CAP)
