"""Engagement stays when its evidence is gone, and ends with an opt-out; no hit is lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from structlog.testing import capture_logs

from notifications.domain import engagement as bits
from notifications.domain.engagement import EventKind
from notifications.features.tracking.collector import REPEAT_S, Hit, HitCollector
from notifications.features.tracking.recording import write_hits
from notifications.features.tracking.service import COLLECTOR
from notifications.infra import clock, ports
from notifications.models import NotificationAnalytics, TrackingEvent, UserNotificationPreference
from notifications.services import NotificationAnalyticsService
from tests.integration.tracking.conftest import written

pytestmark = pytest.mark.django_db
DAY_S = 86_400
PATIENCE_S = 10.0


def row() -> NotificationAnalytics:
    return NotificationAnalytics.objects.get()


def hit(message_id: int = 1) -> Hit:
    return Hit(message_id, EventKind.OPEN, None, clock.now(), "GET", "Mozilla/5.0", "", {})


def test_an_opt_out_holds_for_mails_that_a_person_already_has(send_mail, person, reader, frozen):
    mail = send_mail()
    frozen.forward(700)
    reader.get(mail.links[0])
    UserNotificationPreference.objects.create(user=person, tracking_enabled=False)
    assert reader.get(mail.pixel).status_code == 200
    assert reader.get(mail.links[1])["Location"] == "https://news.example/?a=1&b=2"
    written()
    assert not TrackingEvent.objects.exists()
    assert not NotificationAnalytics.objects.exists()

    UserNotificationPreference.objects.update(tracking_enabled=True)
    frozen.forward(60)
    reader.get(mail.links[1])
    written()
    assert row().flags == bits.CLICK_HUMAN


def test_engagement_stays_when_its_evidence_was_deleted(send_mail, reader, scanner, frozen):
    mail = send_mail()
    frozen.forward(700)
    clicked_at = frozen.now
    reader.get(mail.links[0])
    written()
    TrackingEvent.objects.all().delete()
    frozen.forward(90 * DAY_S)
    scanner.get(mail.links[0])
    reader.get(mail.pixel)
    written()
    assert row().flags == bits.CLICK_HUMAN | bits.CLICK_MACHINE | bits.OPEN_HUMAN
    assert (row().clicked_at, row().opened_at) == (clicked_at, frozen.now)


def test_reported_engagement_stays_when_its_message_is_judged(send_mail, scanner, frozen):
    mail = send_mail()
    frozen.forward(700)
    reported_at = frozen.now
    service = NotificationAnalyticsService()
    async_to_sync(service.track_notification_opened)(str(mail.message.pk), {"device": "phone"})
    frozen.forward(60)
    scanner.get(mail.pixel)
    scanner.get(mail.links[0])
    written()
    assert row().flags == (
        bits.OPEN_HUMAN | bits.REPORTED_OPEN | bits.OPEN_MACHINE | bits.CLICK_MACHINE
    )
    assert (row().opened_at, row().clicked_at) == (reported_at, None)
    async_to_sync(service.track_notification_clicked)(str(mail.message.pk), "https://a.example")
    clicked_at = frozen.now
    frozen.forward(60)
    scanner.get(mail.links[1])
    written()
    assert row().flags & (bits.CLICK_HUMAN | bits.REPORTED_CLICK) == (
        bits.CLICK_HUMAN | bits.REPORTED_CLICK
    )
    assert row().clicked_at == clicked_at


def test_a_row_is_completed_once_its_message_is_recorded_as_sent(send_mail, reader, frozen):
    mail = send_mail()
    sent_at = mail.message.sent_at
    type(mail.message).objects.update(sent_at=None)
    reader.get(mail.pixel)
    frozen.forward(61)
    assert written() == 1
    assert (row().sent_at, row().sent_quarter) == (None, None)
    type(mail.message).objects.update(sent_at=sent_at)
    frozen.forward(700)
    reader.get(mail.links[0])
    written()
    assert (row().sent_at, row().sent_quarter) == (sent_at, bits.quarter_of(sent_at))
    assert row().provider == "sandbox"


def test_a_hit_like_one_that_still_waits_is_its_repeat(send_mail, reader, frozen):
    mail = send_mail()
    frozen.forward(700)
    first_at = frozen.now
    for _ in range(3):
        reader.get(mail.links[0])
        frozen.forward(REPEAT_S + 1)
    assert COLLECTOR._of_message == {mail.message.pk: 1}
    written()
    event = TrackingEvent.objects.get()
    assert (event.at, event.repeats) == (first_at, 3)


def test_the_end_of_the_process_waits_for_a_running_write(frozen):
    begun, free = threading.Event(), threading.Event()
    stored: list[int] = []

    def write(hits: Sequence[Hit]) -> Sequence[Hit]:
        begun.set()
        assert free.wait(PATIENCE_S)
        stored.extend(hit.message_id for hit in hits)
        return []

    collector = HitCollector(write)
    collector.starts_thread = False
    collector.add(hit())
    with ThreadPoolExecutor(2) as threads:
        try:
            running = threads.submit(collector.write_now)
            assert begun.wait(PATIENCE_S)
            ending = threads.submit(collector.close, PATIENCE_S)
            assert wait([ending], timeout=0.2).not_done, "the write still runs"
        finally:
            free.set()
        ending.result(PATIENCE_S)
        assert stored == [1]
        assert running.result(PATIENCE_S) == 1


def test_a_thread_that_cannot_start_is_started_by_the_next_hit(frozen, monkeypatch):
    class NoThread:
        def __init__(self, **_options: Any) -> None:
            pass

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    collector = HitCollector(write_hits)
    with ports.installed(Thread=NoThread), capture_logs() as logged:
        collector.add(hit())
    assert [line["event"] for line in logged] == ["tracking.no_thread"]
    begun: list[bool] = []
    monkeypatch.setattr(collector, "_begin", lambda: begun.append(True))
    collector.add(hit(2))
    assert begun == [True]
