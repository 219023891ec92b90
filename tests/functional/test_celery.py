"""PostgreSQL, Redis and two Celery workers, also after Redis was killed."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from notifications.testing.servers import SMTPSink
from tests.functional.installation import Installation, wait_until

pytestmark = pytest.mark.processes
QUEUES = "critical,high,default,bulk"


def test_delivery_continues_by_polling_when_redis_is_killed(tmp_path, postgres_url, redis):
    arrived: Counter[bytes] = Counter()

    def record(mail) -> None:
        found = re.search(rb"^Message-ID: <([^@]+)@", mail.content, re.MULTILINE)
        arrived[found.group(1) if found else b"?"] += 1

    with SMTPSink(on_mail=record).run_in_thread() as sink:
        place = Installation(
            tmp_path,
            database_url=postgres_url,
            redis_url=redis.url,
            email_provider="smtp",
            smtp_host=sink.host,
            smtp_port=str(sink.port),
        )
        place.prepare(demo=True)
        words = ("-A", "carillon", "worker", "-Q", QUEUES, "--concurrency=1", "-l", "ERROR")
        with (
            place.running(*words, module="celery"),
            place.running(*words, module="celery"),
        ):
            _send(place, 1, 21)
            wait_until(lambda: len(arrived) == 20)
            redis.kill()
            _send(place, 21, 41)
            wait_until(lambda: len(arrived) == 40)
            redis.start()
            _send(place, 41, 51)
            wait_until(lambda: len(arrived) == 50)
            wait_until(lambda: place.statuses() == {"sent": 50, "batches": 0})

    assert set(arrived.values()) == {1}


def _send(place: Installation, first: int, last: int) -> None:
    """Sends to demo students, in one process."""
    import subprocess
    import sys

    script = (
        "import django; django.setup()\n"
        "from directory.models import User\n"
        "from notifications.domain.callers import SYSTEM\n"
        "from notifications.infra.process import wakeups\n"
        "from notifications.services import NotificationService\n"
        f"for n in range({first}, {last}):\n"
        "    user = User.objects.get(username=f'student{n}')\n"
        "    body = {'template_path': 'user.payment.success', 'user_id': user.pk,\n"
        "            'channel': 'email', 'context': {'amount': n}}\n"
        "    NotificationService().send(body=body, caller=SYSTEM)\n"
        "wakeups.flush()\n"
    )
    subprocess.run([sys.executable, "-c", script], env=place.environ, check=True, timeout=120)
