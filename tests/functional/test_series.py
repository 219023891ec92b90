"""A series with many processes, in all zones, across a clock change, with processes killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from carillon.bench.harness.environment import BenchEnvironment, bench_environment
from tests.functional.test_schedules import start

pytestmark = pytest.mark.processes

START = datetime(2031, 3, 28, 12, tzinfo=UTC)  # Berlin's clock goes forward on 30 March
HOURS = 78
LEAVE_AFTER = 2
"""The hours after which some people leave, before the second mail."""

LAY = f"""
import sys
from datetime import datetime
from zoneinfo import available_timezones
from directory.models import SubscriberList, User
from notifications.domain.callers import SYSTEM, Caller
from notifications.api.bodies import check_body
from notifications.features.analytics.goal_schemas import GoalBody
from notifications.features.analytics.goals import GoalService
from notifications.features.lists.joining import AT_ONCE, Joining, join
from notifications.features.series.schemas import MailSeriesBody
from notifications.features.series.service import MailSeriesService
from notifications.infra import clock
from notifications.models import Category, NotificationTemplate

now = datetime.fromisoformat("{START.isoformat()}")
zones = sorted(available_timezones())
number = int(sys.argv[1])
with clock.reading(lambda: now):
    for path in ("one", "two", "three"):
        NotificationTemplate.objects.create(
            path=path, name=path, category=Category.objects.get(key="announcement"),
            supported_channels=["email"], email_subject_template=path, email_body_template=path)
    people = [
        User.objects.create(username=f"p{{n}}", email=f"p{{n}}@example.com",
                            timezone=zones[n * 7 % len(zones)]).pk
        for n in range(number)
    ]
    found = SubscriberList.objects.create(
        name="News", slug="news", category="announcement", double_opt_in=False)
    GoalService().create(body=GoalBody(name="bought", event="bought"), caller=SYSTEM)
    steps = [
        {{"template_path": "one"}},
        {{"template_path": "two", "wait_days": 1, "at": "09:00"}},
        {{"template_path": "three", "wait_minutes": 30, "at": "02:30"}},
    ]
    body = check_body({{
        "name": "Welcome", "trigger": {{"on": "list", "list_id": found.pk}}, "steps": steps,
        "goal": "bought", "holdout_percent": 20.0}}, MailSeriesBody)
    made = MailSeriesService().create(body=body, caller=SYSTEM, now=now)
    MailSeriesService().launch(identifier=made.key, caller=SYSTEM, now=now)
    joining = Joining(caller=SYSTEM, source="test", wording="Send me the news.")
    for first in range(0, number, AT_ONCE):
        join(found, people[first:first + AT_ONCE], joining)
"""

# Every process reads the same given time: all of them act at the same instant.
HAND = """
import sys
from datetime import datetime
from notifications.features.series import handing, rounds
from notifications.infra import clock
from notifications.models import MailSeries

handing.AT_ONCE = rounds.AT_ONCE = 25  # many transactions, so that a kill is within one
now = [None]
with clock.reading(lambda: now[0]):
    for line in sys.stdin:
        now[0] = datetime.fromisoformat(line.strip())
        rounds.maintain_series(now=now[0], seconds=30)
        print("due" if MailSeries.objects.with_due(now[0]).exists() else "done", flush=True)
"""

LEAVE = """
import json, sys
from datetime import datetime
from directory.models import SubscriberList, User
from notifications.domain.callers import SYSTEM
from notifications.features.analytics.goal_schemas import EventBody
from notifications.features.analytics.goals import GoalService
from notifications.features.lists.joining import leave
from notifications.infra import clock

now = datetime.fromisoformat(sys.argv[1])
found = SubscriberList.objects.get()
with clock.reading(lambda: now):
    people = list(User.objects.filter(username__in=json.loads(sys.argv[2])))
    for person in people:
        leave(found, person.pk, caller=SYSTEM, source="test")
    buyers = User.objects.filter(username__in=json.loads(sys.argv[3]))
    events = [EventBody(user_id=person.pk, name="bought") for person in buyers]
    GoalService().report(events=events, caller=SYSTEM)
"""

LAST = """
import json
from collections import defaultdict
from notifications.models import *

series = MailSeries.objects.get()
rows = {}
for row in SeriesEnrollment.objects.select_related("user"):
    rows[row.user.username] = {
        "zone": row.user.timezone, "state": row.state, "reason": row.reason,
        "held": series.holds_out(row.user_id), "mails": [], "handed": []}
names = dict(SeriesEnrollment.objects.values_list("pk", "user_id"))
users = {row.user_id: row.user.username for row in SeriesEnrollment.objects.select_related("user")}
for step in SeriesHandover.objects.order_by("position"):
    rows[users[names[step.enrollment_id]]]["handed"].append(
        [step.position, step.at.isoformat(), step.notification_id])
paths = dict(NotificationTemplate.objects.values_list("current_version_id", "path"))
for sent in Notification.objects.filter(source=series.source):
    rows[users[sent.user_id]]["mails"].append([paths[sent.template_version_id], sent.pk])
counts = {f"{c.position} {c.result}": c.number for c in SeriesStepCount.objects.all()}
waiting = SeriesEnrollment.objects.filter(due_at__isnull=False).count()
messages = NotificationMessage.objects.filter(notification__source=series.source).count()
print(json.dumps({"people": rows, "counts": counts, "waiting": waiting, "messages": messages}))
"""

Process = subprocess.Popen[str]


def act_until_done(
    place: BenchEnvironment, processes: list[Process], now: datetime, kills: list[float]
) -> None:
    """Makes all processes act at an instant until nothing is due.

    kills: how many seconds after the beginning a process is killed, for each kill at this instant.
    """
    while True:
        for each in processes:
            assert each.stdin is not None
            each.stdin.write(f"{now.isoformat()}\n")
            each.stdin.flush()
        if kills:
            time.sleep(kills.pop())
            victim = processes.pop(0)
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait(10)
            processes.append(start(place, HAND))
            answers = {_answer(each) for each in processes[:-1]} | {"due"}
        else:
            answers = {_answer(each) for each in processes}
        if answers == {"done"}:
            return


def _answer(process: Process) -> str:
    assert process.stdout is not None
    found = process.stdout.readline().strip()
    assert found in ("done", "due"), f"a process ended: {process.poll()}"
    return found


def run_series(database: str, *, people: int, kills: int) -> dict[str, Any]:
    """Runs the whole series; returns what LAST prints."""
    chance = random.Random(f"{database} {people}")
    leavers = [f"p{n}" for n in range(0, people, 10)]
    buyers = [f"p{n}" for n in range(5, people, 10)]
    # The first mail is due for all at once, so that is where most processes are killed.
    at = Counter({0: kills - kills // 3})
    at.update(chance.choices(range(20, 80), k=kills // 3))
    with bench_environment(database) as place:
        assert start(place, LAY, str(people)).wait(60 + people / 20) == 0
        processes = [start(place, HAND) for _ in range(3)]
        for hour in range(HOURS + 1):
            now = START + timedelta(hours=hour)
            planned = [chance.uniform(0, 0.15) for _ in range(at[hour])]
            act_until_done(place, processes, now, planned)
            if hour == LEAVE_AFTER:
                words = now.isoformat(), json.dumps(leavers), json.dumps(buyers)
                assert start(place, LEAVE, *words).wait(60 + people / 20) == 0
        out = start(place, LAST).communicate(timeout=120)[0]
    return {"leavers": leavers, "buyers": buyers, **json.loads(out.splitlines()[-1])}


def check(end: dict[str, Any], *, people: int) -> None:
    """Each step once each at its local time, exits honoured, no one of the holdout sent anything"""
    found = end["people"]
    assert len(found) == people
    assert end["waiting"] == 0
    held = {name for name, row in found.items() if row["held"]}
    assert 0 < len(held) < people / 2
    assert {name for name, row in found.items() if row["state"] == "held_out"} == held
    early = set(end["leavers"]) | set(end["buyers"])
    for name, row in found.items():
        path_of = {key: path for path, key in row["mails"]}
        handed = [key for _, _, key in row["handed"]]
        assert sorted(handed) == sorted(key for _, key in row["mails"])
        mails = [path_of[key] for key in handed]
        if name in held:
            assert mails == []
        elif name in early:
            assert (mails, row["state"]) == (["one"], "exited"), (name, row)
            wanted = "unsubscribed" if name in end["leavers"] else "goal_reached"
            assert row["reason"] == wanted
        else:
            assert (mails, row["state"]) == (["one", "two", "three"], "completed"), (name, row)
            _check_times(row)
    sent = sum(len(row["mails"]) for row in found.values())
    assert end["messages"] == sent
    assert sum(n for key, n in end["counts"].items() if key.endswith("sent")) == sent


def _check_times(row: dict[str, Any]) -> None:
    """The processes act each full hour: a mail is due within the hour before."""
    zone = ZoneInfo(row["zone"])
    first, second, third = (datetime.fromisoformat(at) for _, at, _ in row["handed"])
    assert first == START
    local = second.astimezone(zone)
    assert local.hour == 9, row
    assert timedelta(days=1, hours=-1) <= second - first <= timedelta(days=2, hours=2), row
    hour = third.astimezone(zone).replace(tzinfo=None)
    assert (hour.hour, hour.minute) in {(2, m) for m in range(30, 60)} | {
        (3, m) for m in range(30)
    } or _in_gap(third, zone), row
    assert third - second <= timedelta(days=1, hours=2)


def _in_gap(at: datetime, zone: ZoneInfo) -> bool:
    """Returns whether the clock of a zone changed within the two hours before."""
    return at.astimezone(zone).utcoffset() != (at - timedelta(hours=2)).astimezone(zone).utcoffset()


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_each_step_is_sent_once_while_processes_are_killed(database: str) -> None:
    check(run_series(database, people=300, kills=5), people=300)


@pytest.mark.proof
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_five_thousand_people_and_twenty_kills(database: str) -> None:
    check(run_series(database, people=5_000, kills=20), people=5_000)
