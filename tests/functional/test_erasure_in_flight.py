"""People are erased while their messages are in flight, and every process dies meanwhile."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from notifications.models import unpack_keys
from notifications.testing.servers import SMTPSink
from tests.functional.installation import Installation, wait_until

pytestmark = pytest.mark.processes
STEPS = ("requested", "keys", "rows")
"""After which step the process that erases is killed, for each person."""
SETUP = """
import json
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.features.sending.service import NotificationService
from tests.integration.factories import make_template
from notifications.models import Category, NotificationMessage
Category.objects.filter(key="payment").update(crash_policy="resend")
make_template("test.note", email_body_template="{{ amount }}")
names = json.loads('%s')
named = [*names, *(f"other-{n}" for n in range(20))]
people = [User.objects.create(username=name, email=f"{name}@example.org") for name in named]
send = NotificationService().send
body = {"template_path": "test.note", "channel": "email", "context": {"amount": 1}}
for user in people[:len(names)] * 3:
    send(caller=SYSTEM, body={**body, "user_id": user.pk})
others = people[len(names):]
for n in range(%d):
    send(caller=SYSTEM, body={**body, "user_id": others[n %% len(others)].pk})
print(json.dumps([user.pk for user in people[:len(names)]]))
"""
ERASE = """
import os, signal
from notifications.domain.callers import SYSTEM
from notifications.features.privacy import steps
from notifications.features.privacy.service import PrivacyService
from notifications.infra import clock
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def erase(user_id, step):
    real_keys, real_delete = steps.erase_keys, steps._delete_notifications
    def keys(*given, **named):
        real_keys(*given, **named)
        die()
    def rows(user_id):
        real_delete(user_id)
        die()
    steps._AT_ONCE = 1
    if step == "keys":
        steps.erase_keys = keys
    if step == "rows":
        steps._delete_notifications = rows
    PrivacyService().erase_user(identifier=user_id, reason="asked", caller=SYSTEM)
    if step == "requested":
        die()
    steps.erase_due(now=clock.now())
    die()
for user_id, step in %r:
    child = os.fork()
    if not child:
        erase(user_id, step)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
"""
AGAIN = """
import json
from directory.importing import import_users
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import Refused
from notifications.features.sending.service import NotificationService
refused = []
for name in json.loads('%s'):
    import_users([json.dumps({"external_id": name, "email": f"{name}@example.org"})], kind="ndjson")
    user = User.objects.get(external_id=name)
    try:
        NotificationService().send(caller=SYSTEM, body={
            "template_path": "test.note", "channel": "email", "context": {"amount": 1},
            "user_id": user.pk})
    except Refused as error:
        refused.append(error.code)
print(json.dumps(refused))
"""
OPEN = (
    "SELECT count(*) FROM notifications_notificationmessage WHERE status IN"
    " ('pending', 'uncertain')"
)


@dataclass
class Provider:
    """A provider that responds to nothing until it may."""

    gate: threading.Event = field(default_factory=threading.Event)
    #: Mails that arrived completely, by recipient.
    arrived: Counter[str] = field(default_factory=Counter)

    def script(self, verb: str, _line: str) -> None:
        if verb == "END":
            self.gate.wait(60)

    def record(self, mail: Any) -> None:
        self.arrived.update(mail.recipients)


@pytest.fixture
def provider() -> Iterator[tuple[Provider, SMTPSink]]:
    held = Provider()
    with SMTPSink(store=False, script=held.script, on_mail=held.record).run_in_thread() as sink:
        try:
            yield held, sink
        finally:
            held.gate.set()


def in_flight(place: Installation) -> set[int]:
    rows = place.query("SELECT journal FROM notifications_deliverybatch WHERE journal <> ''")
    return {key for (journal,) in rows for key in unpack_keys(journal)}


@pytest.mark.parametrize(
    "others", [20, pytest.param(10_000, marks=pytest.mark.proof)], ids=["few", "many"]
)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_nothing_departs_for_an_erased_person(
    database: str,
    others: int,
    provider: tuple[Provider, SMTPSink],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    held, sink = provider
    url = {"database_url": request.getfixturevalue("postgres_url")} if database != "sqlite" else {}
    place = Installation(
        tmp_path,
        email_provider="smtp",
        smtp_host=sink.host,
        smtp_port=str(sink.port),
        smtp_tls="none",
        lease_seconds="1",
        rate_limits="smtp=off",
        **url,
    )
    if not url:
        place.prepare()
    names = [f"zebu-{step}" for step in STEPS]
    people = json.loads(place.python(SETUP % (json.dumps(names), others)).splitlines()[-1])
    rows = place.query("SELECT user_id, id FROM notifications_notificationmessage")
    keys = {user: {key for owner, key in rows if owner == user} for user in people}
    wanted = set().union(*keys.values())

    with place.running("worker") as worker:
        wait_until(lambda: wanted <= in_flight(place))
        place.python(ERASE % (list(zip(people, STEPS, strict=True)),))
        worker.kill()
        worker.wait()
    before = Counter(held.arrived)
    listed = {
        user: set(json.loads(text) if isinstance(text, str) else text)
        for user, text in place.query("SELECT user_id, in_flight FROM notifications_erasure")
    }
    assert listed == keys  # what had departed is in the certificate, and nothing else

    held.gate.set()
    with place.running("worker"):
        wait_until(
            lambda: (
                place.query("SELECT state, count(*) FROM notifications_erasure GROUP BY state")
                == [("done", 3)]
            )
        )
        wait_until(lambda: place.query(OPEN) == [(0,)], seconds=300)
    assert not before
    for name, user in zip(names, people, strict=True):
        # The provider had them before the worker died. None was sent after the erasure.
        assert held.arrived[f"{name}@example.org"] <= len(keys[user])
    alive = [count for to, count in held.arrived.items() if to.startswith("other")]
    assert sum(alive) >= others
    assert place.query("SELECT count(*) FROM directory_user WHERE NOT is_active") == [(0,)]
    assert json.loads(place.python(AGAIN % json.dumps(names)).splitlines()[-1]) == ["opted_out"] * 3
