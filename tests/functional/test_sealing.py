"""Real processes: old rows are sealed by processes that are killed, while others send."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from carillon.bench.harness.environment import BenchEnvironment, bench_environment

pytestmark = pytest.mark.processes
PEOPLE, SENT = 120, 240
OLD = """
from tests.old_rows import make_old, under_the_services_key
make_old()
print(json.dumps(under_the_services_key()))
"""
SEAL = """
from notifications.features.sealing import service
service.AT_ONCE = service._PEOPLE_AT_ONCE = 20
service.seal_rows(lambda rows: print(rows, flush=True))
"""
CHECK = """
from directory.models import User
from notifications.features.sealing import service
from notifications.models import NotificationMessage
from tests.old_rows import under_the_services_key
changed = service.seal_rows(lambda rows: None)
states = NotificationMessage.objects.values_list("status", flat=True)
print(json.dumps({
    "changed": changed, "left": service.rows_left(), "under": under_the_services_key(),
    "readable": User.objects.filter(sealed=None).count(),
    "names": len({user.first_name for user in User.objects.all()}),
    "texts": sum(1 for row in NotificationMessage.objects.all() if row.body),
    "sent": len(states), "states": sorted(set(states)),
}))
"""


def start(env: BenchEnvironment, script: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", f"import json, django\ndjango.setup()\n{script}"],
        env=env.environ,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    env.children.append(child)
    return child


@pytest.mark.parametrize(
    ("database", "kills"),
    [
        ("sqlite", 1),
        pytest.param("sqlite", 5, marks=pytest.mark.proof),
        pytest.param("postgres", 5, marks=pytest.mark.proof),
    ],
)
def test_killed_sealings_go_on_while_messages_are_sent(database: str, kills: int) -> None:
    with bench_environment(database) as env:
        _seal_and_send(env, kills)


def _seal_and_send(env: BenchEnvironment, kills: int) -> None:
    rng = random.Random(11)
    env.run("people", PEOPLE)
    (worker,) = env.workers(1)
    env.run("accept", SENT, "in_app", "drain", PEOPLE)
    old = env.result(start(env, OLD))
    assert old["notifications_notificationmessage.content"] == SENT

    sender = env.start("accept", SENT, "in_app", "drain", 10)
    for _ in range(kills):
        child = start(env, SEAL)
        assert child.stdout is not None
        for _ in range(rng.randrange(4, 7)):
            assert child.stdout.readline(), "the sealing ended before it was killed"
        child.kill()
        child.wait()
    env.result(sender)

    found = env.result(start(env, CHECK))
    assert found.pop("changed") > 0
    assert found == {
        "left": {},
        "under": {},
        "readable": 0,
        "names": PEOPLE,
        "texts": 2 * SENT,
        "sent": 2 * SENT,
        "states": ["delivered"],
    }
    env.stop([worker])
