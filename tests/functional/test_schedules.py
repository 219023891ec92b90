"""Schedules with many processes: two beats and four workers, across clock changes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from carillon.bench.harness.environment import BenchEnvironment, bench_environment

pytestmark = pytest.mark.processes

START = datetime(2031, 3, 28, 12, tzinfo=UTC)  # Berlin's clock goes forward on 30 March
HOURS = 3 * 24
DATES = ["2031-03-29", "2031-03-30", "2031-03-31"]
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe")
SINGLES = 60

LAY = f"""
import json
from datetime import datetime, timedelta
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.infra import clock
from notifications.features.scheduling.service import ScheduleService

start = datetime.fromisoformat("{START.isoformat()}")
people = [
    User.objects.create(username=f"p{{n}}", email=f"p{{n}}@example.com", timezone=zone)
    for n, zone in enumerate({ZONES!r} * 5)
]
with clock.reading(lambda: start):
    def schedule(title, at, people=people, **more):
        body = {{"recipients": [each.pk for each in people], "title": title, "message": "Soon",
                "scheduled_at": at.isoformat(), **more}}
        ScheduleService().schedule(body=body, caller=SYSTEM)

    midnight = datetime(2031, 3, 29)
    schedule("own", midnight, local_time="02:30", recurrence="FREQ=DAILY;COUNT=3")
    schedule("berlin", midnight.replace(hour=9), timezone="Europe/Berlin",
             recurrence="FREQ=DAILY;COUNT=3")
    for n in range({SINGLES}):
        schedule(f"single{{n}}", start + timedelta(hours=1 + n * 1.1), people[n % 20:][:1])
"""

# Every process reads the same given time: all of them act at the same instant.
HAND = """
import sys
from datetime import datetime
from notifications.domain.channels import Lane
from notifications.infra import clock
from notifications.queue import batches
from notifications.engine.runs import deliver_rows
from notifications.features.upkeep.rounds import ScheduleRounds
from notifications.tasks import process_scheduled_notifications, retry_failed_notifications

kind, me = sys.argv[1:]
rounds, now = ScheduleRounds(), [None]


def beat():
    process_scheduled_notifications()
    retry_failed_notifications()


def work():
    rounds.run_due(now[0])
    for lane in Lane:
        while leases := batches.lease(owner=me, lane=lane, seconds=60):
            deliver_rows(leases, owner=me)


with clock.reading(lambda: now[0]):
    for line in sys.stdin:
        now[0] = datetime.fromisoformat(line.strip())
        beat() if kind == "beat" else work()
        print("done", flush=True)
print("{}")
"""

LAST = """
import json
from collections import Counter, defaultdict
from zoneinfo import ZoneInfo
from notifications.models import *

received = defaultdict(list)
rows = NotificationMessage.objects.select_related("notification__job", "user").order_by("sent_at")
for row in rows:
    zone = ZoneInfo(row.user.timezone)
    title = (row.notification.text or row.notification.job.context)["title"]
    received[f"{title}/{row.user.username}"].append(
        [row.status, f"{row.notification.scheduled_at.astimezone(zone):%Y-%m-%dT%H:%M}"])
print(json.dumps({
    "received": received,
    "occurrences": ScheduleOccurrence.objects.count(),
    "twice": [row.pk for row in rows if row.attempts > 1],
    "batches": DeliveryBatch.objects.count(),
    "series": sorted(ScheduleSeries.objects.values_list("status", flat=True)),
}))
"""


def start(place: BenchEnvironment, script: str, *arguments: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup()\n{script}", *arguments],
        env=place.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    place.children.append(child)
    return child


def advance(children: list[subprocess.Popen[str]], now: datetime) -> None:
    """Makes all processes act at this instant at once, and waits for them."""
    for child in children:
        assert child.stdin is not None
        child.stdin.write(f"{now.isoformat()}\n")
        child.stdin.flush()
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "done\n"


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_everything_due_is_sent_once_and_every_occurrence_created_once(database):
    with bench_environment(database) as place:
        assert start(place, LAY).wait(60) == 0
        processes = [start(place, HAND, "beat", f"beat{n}") for n in range(2)]
        processes += [start(place, HAND, "worker", f"worker{n}") for n in range(4)]
        for hour in range(0, HOURS + 1, 2):
            advance(processes, START + timedelta(hours=hour))
        end = json.loads(start(place, LAST).communicate(timeout=120)[0].splitlines()[-1])

    received = end["received"]
    assert {status for rows in received.values() for status, _ in rows} == {"delivered"}
    assert (end["twice"], end["batches"], end["series"]) == ([], 0, ["ended", "ended"])
    assert end["occurrences"] == len(DATES) * (len(ZONES) + 1)
    for number in range(len(ZONES) * 5):
        own = [moment for _, moment in received[f"own/p{number}"]]
        assert [moment[:10] for moment in own] == DATES
        berlin = number % len(ZONES) == 0
        odd = ["2031-03-30T03:00"] if berlin else []  # 02:30 was in the gap
        assert [moment for moment in own if not moment.endswith("T02:30")] == odd
        assert len(received[f"berlin/p{number}"]) == len(DATES)
    assert [moment for _, moment in received["berlin/p0"]] == [f"{date}T09:00" for date in DATES]
    assert [len(received[f"single{n}/p{n % 20}"]) for n in range(SINGLES)] == [1] * SINGLES
