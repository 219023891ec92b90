"""Status webhooks in real processes: no two post the same event, and none is lost by a kill."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifications.testing.servers import Act, HTTPSink
from tests.functional.installation import Installation, wait_until

SET_UP = """
from notifications.domain.callers import SYSTEM
from notifications.infra import clock
from notifications.models import StatusEvent
from notifications.features.webhooks.schemas import WebhookBody
from notifications.features.webhooks.service import WebhookService
WebhookService().create(body=WebhookBody(url={url!r}), caller=SYSTEM)
at = clock.now()
StatusEvent.objects.write(
    StatusEvent(message_id=n, kind="message.sent", at=at) for n in range({count})
)
"""
POST = """
import django
django.setup()
from notifications.infra import clock
from notifications.features.webhooks.deliver import post_due
print(post_due(now=clock.now()), flush=True)
"""
LEASES_END = """
from notifications.models import WebhookDelivery
from notifications.infra import clock
WebhookDelivery.objects.filter(next_at__isnull=False).update(next_at=clock.now())
"""


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    made = Installation(tmp_path, webhook_allow_private="true")
    made.prepare()
    return made


@pytest.fixture
def sink() -> Iterator[HTTPSink]:
    with HTTPSink().run_in_thread() as made:
        yield made


def poster(place: Installation) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", POST], env=place.environ, stdout=subprocess.PIPE, text=True
    )


def messages(sink: HTTPSink) -> Counter[int]:
    return Counter(json.loads(each.body)["data"]["message_id"] for each in sink.requests)


def test_concurrent_processes_share_the_posts(place: Installation, sink: HTTPSink) -> None:
    place.python(SET_UP.format(url=sink.url, count=400))

    posters = [poster(place) for _ in range(3)]
    posts = [int(each.communicate(timeout=60)[0]) for each in posters]

    assert sum(posts) == 400
    assert messages(sink) == Counter(range(400))


def test_another_process_posts_what_a_killed_one_had_claimed(
    place: Installation, sink: HTTPSink
) -> None:
    sink.script = lambda _: Act.HANG
    place.python(SET_UP.format(url=sink.url, count=30))
    doomed = poster(place)
    wait_until(lambda: len(sink.requests) >= 20)
    doomed.kill()
    doomed.communicate()
    sink.script = None
    sink.requests.clear()

    (posted,) = [int(each.communicate(timeout=60)[0]) for each in [poster(place)]]
    assert posted == 10  # the others are still leased
    place.python(LEASES_END)
    (posted,) = [int(each.communicate(timeout=60)[0]) for each in [poster(place)]]

    assert posted == 20
    assert messages(sink) == Counter(range(30))
