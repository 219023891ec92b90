"""Cancel and journal race for the same messages: each message is either taken back or sent."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from notifications.domain.callers import SYSTEM
from notifications.domain.channels import Lane
from notifications.domain.errors import Conflict
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare
from notifications.engine.runs import keys_of
from notifications.models import NotificationMessage
from notifications.queue import batches
from notifications.services import NotificationService
from tests.integration.factories import make_messages


@pytest.mark.django_db(transaction=True)
def test_a_message_is_cancelled_or_journalled_and_never_both():
    made = make_messages(40)
    (held,) = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=60)
    work = prepare("email", keys_of([held]))
    cancelled: set[int] = set()
    start = threading.Barrier(2)

    def cancel() -> None:
        start.wait()
        for message in made:
            try:
                NotificationService().cancel(identifier=message.notification_id, caller=SYSTEM)
                cancelled.add(message.pk)
            except Conflict as refused:
                assert refused.code == "already_sending"  # noqa: PT017 -- another thread's
        connection.close()

    racer = threading.Thread(target=cancel)
    racer.start()
    start.wait()
    going = {item.message.id for part in _parts(work.ready) for item in journal(part, owner="w")}
    racer.join()

    assert going.isdisjoint(cancelled)
    assert going | cancelled == {message.pk for message in made}
    rows = NotificationMessage.objects.filter(pk__in=cancelled)
    assert set(rows.values_list("status", flat=True)) <= {"cancelled"}


def _parts(ready):
    return [ready[start : start + 4] for start in range(0, len(ready), 4)]
