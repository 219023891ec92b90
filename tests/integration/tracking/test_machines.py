"""Scanners, floods and a database that is away leave the numbers of people as they are."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from notifications.domain import engagement as bits
from notifications.features.tracking import collector, reclassify
from notifications.features.tracking.service import COLLECTOR
from notifications.models import (
    Category,
    NotificationAnalytics,
    TrackingEvent,
    UserNotificationPreference,
)
from tests.integration.tracking.conftest import BROWSER, written

pytestmark = pytest.mark.django_db


def flags() -> int:
    return NotificationAnalytics.objects.get().flags


def test_a_scanner_leaves_the_counts_of_people_untouched(send_mail, scanner, reader, frozen):
    mail = send_mail()
    frozen.forward(2)
    for link in (*mail.links, mail.pixel):
        assert scanner.get(link).status_code in (200, 302)
        scanner.head(link)
    written()
    assert flags() == bits.CLICK_MACHINE | bits.OPEN_MACHINE
    row = NotificationAnalytics.objects.get()
    assert (row.opened_at, row.clicked_at) == (None, None)
    frozen.forward(3600)
    reader.get(mail.links[0])
    written()
    assert flags() == bits.CLICK_MACHINE | bits.OPEN_MACHINE | bits.CLICK_HUMAN
    assert NotificationAnalytics.objects.get().clicked_at == frozen.now
    scanner.get(mail.links[0])
    written()
    row.refresh_from_db()
    assert row.clicked_at == frozen.now


def test_the_hidden_link_judges_what_came_before_it(send_mail, person, reader, frozen):
    UserNotificationPreference.objects.create(
        user=person, marketing_enabled=True, data_processing_consent=True
    )
    mail = send_mail(template={"category": Category.objects.get(key="marketing")})
    frozen.forward(700)
    reader.get(mail.pixel)
    frozen.forward(5)
    reader.get(mail.links[0])
    written()
    assert flags() == bits.CLICK_HUMAN | bits.OPEN_HUMAN
    NotificationAnalytics.objects.update(counted=bits.CLICK_HUMAN | bits.OPEN_HUMAN)
    frozen.forward(4)
    assert reader.get(mail.links[2]).status_code == 302
    written()
    assert flags() == bits.CLICK_MACHINE | bits.OPEN_MACHINE
    row = NotificationAnalytics.objects.get()
    assert (row.clicked_at, row.opened_at) == (None, None)
    assert NotificationAnalytics.objects.exclude(flags=row.counted).exists(), "to be counted again"


def test_the_conversion_stays_when_a_message_is_judged_again(send_mail, reader, frozen):
    mail = send_mail()
    frozen.forward(700)
    reader.get(mail.links[0])
    written()
    NotificationAnalytics.objects.update(flags=bits.CLICK_HUMAN | bits.CONVERTED)
    frozen.forward(60)
    reader.get(mail.pixel)
    written()
    assert flags() == bits.CLICK_HUMAN | bits.CONVERTED | bits.OPEN_HUMAN


def test_a_flood_on_one_mail_is_bounded(send_mail, frozen, override_environment):
    override_environment(tracking_events_per_message=60)
    mail = send_mail()
    for wave in range(3):
        frozen.forward(10)
        for number in range(100):
            agent = {**BROWSER, "user-agent": f"{BROWSER['user-agent']} {wave}.{number}"}
            assert Client(headers=agent).get(mail.links[0]).status_code == 302
        assert len(COLLECTOR._waiting) == collector.MOST_OF_MESSAGE
        written()
    assert TrackingEvent.objects.count() == 60


def test_hits_wait_while_the_database_is_away(send_mail, reader, frozen, monkeypatch):
    mail = send_mail()
    frozen.forward(60)

    def away(_hits: Any) -> Any:
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as broken:
        broken.setattr(COLLECTOR, "_write", away)
        assert reader.get(mail.links[0]).status_code == 302
        for _ in range(3):
            with pytest.raises(OperationalError):
                COLLECTOR.write_now()
        broken.setattr(collector.connections, "close_all", lambda: None)
        COLLECTOR._try_write()
    assert written() == 1
    assert flags() == bits.CLICK_HUMAN


def test_what_the_database_refuses_is_dropped(send_mail, reader, monkeypatch):
    mail = send_mail()
    reader.get(mail.links[0])

    def refuse(_hits: Any) -> Any:
        raise ValueError("no")

    monkeypatch.setattr(COLLECTOR, "_write", refuse)
    assert COLLECTOR.write_now() == 0
    assert not COLLECTOR._waiting


def test_the_thread_writes_and_ends(send_mail, reader, monkeypatch):
    begun = []
    monkeypatch.setattr(COLLECTOR, "starts_thread", True)
    monkeypatch.setattr(COLLECTOR, "_begin", lambda: begun.append(COLLECTOR))
    monkeypatch.setattr(collector.connections, "close_all", lambda: None)
    monkeypatch.setattr(collector.ports, "sleep", lambda _s: None)
    mail = send_mail()
    reader.get(mail.links[0])
    reader.get(mail.links[1])
    assert len(begun) == 1, "one thread at a time"
    COLLECTOR._run()
    assert TrackingEvent.objects.count() == 2
    reader.get(mail.pixel)
    assert len(begun) == 2


def test_old_evidence_is_judged_by_a_newer_classifier(send_mail, reader, frozen, monkeypatch):
    mail = send_mail()
    frozen.forward(700)
    reader.get(mail.links[0])
    written()
    TrackingEvent.objects.update(verdict="machine", classifier=1)
    NotificationAnalytics.objects.update(flags=bits.CLICK_MACHINE, clicked_at=None)
    assert reclassify.classify_old() == (1, 1)
    assert flags() == bits.CLICK_HUMAN
    assert NotificationAnalytics.objects.get().clicked_at is not None
    assert reclassify.classify_old() == (0, 0)
    TrackingEvent.objects.update(verdict="machine", classifier=1)
    frozen.forward(90 * 86_400)
    assert reclassify.classify_old() == (0, 0), "a part of its evidence may be gone"


def test_the_country_comes_only_from_a_trusted_proxy(send_mail, frozen, override_environment):
    override_environment(tracking_country_header="CF-IPCountry")
    first = send_mail()
    frozen.forward(60)
    Client(headers={**BROWSER, "cf-ipcountry": "DE"}).get(first.links[0])
    written()
    assert NotificationAnalytics.objects.get().opened_from_location == {}
    override_environment(tracking_country_header="CF-IPCountry", trusted_proxies=("127.0.0.1",))
    second = send_mail(path="test.second")
    frozen.forward(60)
    Client(headers={**BROWSER, "cf-ipcountry": "DE"}).get(second.links[0])
    written()
    row = NotificationAnalytics.objects.get(pk=second.message.pk)
    assert row.opened_from_location == {"country": "DE"}
