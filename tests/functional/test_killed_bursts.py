"""A burst of unread becomes one mail, also when processes are killed on the way."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from carillon.bench.harness.environment import BenchEnvironment, bench_environment

pytestmark = pytest.mark.processes
PEOPLE, EACH = 3, 4

LAY = f"""
from datetime import timedelta
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.infra import clock
from notifications.models import NotificationMessage
from notifications.services import NotificationService
from tests.integration.factories import make_template
make_template()
options = {{"fallback": ["email"], "fallback_after_s": 3600}}
for number in range({PEOPLE}):
    user = User.objects.create(username=f"p{{number}}", email=f"p{{number}}@example.com")
    for each in range({EACH}):
        body = {{"template_path": "test.hello", "user_id": user.pk, "channel": "in_app",
                "context": {{"amount": each}}, "options": options}}
        NotificationService().send(body=body, caller=SYSTEM)
work(clock.now())
print(NotificationMessage.objects.filter(channel="email", status="pending").count())
"""

WORK = """
import os, signal, sys
from datetime import timedelta
from itertools import product
from unittest import mock
from notifications.engine.runs import deliver_rows
from notifications.features.upkeep import digests
from notifications.infra import clock
from notifications.infra.database import clock_bridge
from notifications.infra.process import identity as processes
from notifications.queue import batches, takeover
from notifications.recording import record as recording

ME = processes.own_name("worker")


def work(now):
    with clock.reading(lambda: now):
        # Members of batches that were taken over are leased alone.
        for lane, isolated in product(("default", "bulk"), (False, True)):
            while leases := batches.lease(owner=ME, lane=lane, seconds=60, isolated=isolated):
                for channel in {held.channel for held in leases}:
                    deliver_rows([held for held in leases if held.channel == channel], owner=ME)


def killed_after(module, name, calls):
    original, left = getattr(module, name), [calls]

    def wrapped(*args, **kwargs):
        found = original(*args, **kwargs)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(module, name, wrapped)
"""

RUN = """
import json
place, later = sys.argv[1], clock.now() + timedelta(hours=1, seconds=int(sys.argv[2]))
if place == "record":
    killed_after(recording, "write_digest_items", 1)
elif place == "digest":
    killed_after(digests, "accept", 1)
elif place == "sent":
    killed_after(recording, "write_decisions", 1)
with clock.reading(lambda: later):
    takeover.sweep(everywhere=True)
work(later + timedelta(seconds=1))
with clock.reading(lambda: later + timedelta(seconds=10)):
    digests.close_due(now=clock.now())
work(later + timedelta(seconds=20))
"""

END = """
from collections import Counter
import json
from notifications.models import *
mails = [m.content for m in SandboxMessage.objects.filter(channel="email")]
print(json.dumps({
    "statuses": dict(Counter(NotificationMessage.objects.filter(channel="email").exclude(
        notification__source="digest").values_list("status", flat=True))),
    "mails": dict(Counter(mail["recipient"] for mail in mails)),
    "items": DigestItem.objects.count(),
    "listed": [sum(g["count"] for g in n.context["groups"])
               for n in Notification.objects.filter(source="digest")],
}))
"""


def run(place: BenchEnvironment, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = f"import django; django.setup()\n{WORK}\n{script}"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=place.environ,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_none_is_lost_and_none_comes_twice(database: str) -> None:
    with bench_environment(database) as place:
        assert run(place, LAY).stdout.split() == [str(PEOPLE * EACH)]
        codes = [
            run(place, RUN, point, str(120 * number)).returncode
            for number, point in enumerate(["record", "digest", "sent"])
        ]
        assert run(place, RUN, "nowhere", "600").returncode == 0
        end = json.loads(run(place, END).stdout)

    assert codes == [-9, -9, -9]
    assert end["statuses"] == {"digested": PEOPLE * EACH}
    assert end["items"] == PEOPLE * EACH
    assert end["listed"] == [EACH] * PEOPLE
    assert set(end["mails"].values()) == {1}
    assert len(end["mails"]) == PEOPLE
