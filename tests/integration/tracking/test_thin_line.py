"""A tracked mail to one person: its click is stored as evidence, and leads to its URL."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.domain import engagement as bits
from notifications.features.tracking.service import COLLECTOR
from notifications.models import NotificationAnalytics, TrackingEvent
from tests.integration.tracking.conftest import BROWSER, written

pytestmark = pytest.mark.django_db


def test_a_click_is_stored_as_evidence_and_leads_to_its_url(send_mail, reader, person, frozen):
    mail = send_mail()
    frozen.forward(60)
    response = reader.get(mail.links[1])
    assert (response.status_code, response["Location"]) == (302, "https://news.example/?a=1&b=2")
    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]
    assert written() == 1
    event = TrackingEvent.objects.get()
    assert (event.message_id, event.notification_id) == (
        mail.message.pk,
        mail.message.notification_id,
    )
    assert (event.kind, event.link, event.method, event.user_id) == ("click", 1, "GET", person.pk)
    assert event.facts["agent"] == BROWSER["user-agent"]
    assert event.facts["network"] == "127.0.0.0/24"
    assert event.facts["headers"]["sec-fetch-mode"] == "navigate"
    assert (event.verdict, event.at) == ("human", frozen.now)


def test_the_row_of_engagement_copies_its_cohort(send_mail, reader, frozen):
    mail = send_mail()
    frozen.forward(60)
    reader.get(mail.links[0])
    written()
    row = NotificationAnalytics.objects.get()
    message = mail.message
    message.refresh_from_db()
    assert row.notification_id == message.pk
    assert (row.queued_at, row.sent_at) == (message.created_at, message.sent_at)
    assert row.sent_quarter == bits.quarter_of(message.sent_at)
    assert row.template_version_id == message.notification.template_version_id
    assert (row.channel, row.provider, row.variant) == ("email", "sandbox", "")
    assert row.source == message.notification.source
    assert (row.flags, row.counted) == (bits.CLICK_HUMAN, 0)
    assert (row.clicked_at, row.opened_at) == (frozen.now, None)
    assert (row.user_agent, row.opened_from_device) == ("Chrome on Linux", "computer")
    assert row.ab_test_variant == ""


def test_an_open_is_counted_once_with_its_time(send_mail, reader, frozen):
    mail = send_mail()
    frozen.forward(60)
    response = reader.get(mail.pixel)
    assert (response.status_code, response["Content-Type"]) == (200, "image/gif")
    assert response.content.startswith(b"GIF89a")
    written()
    row = NotificationAnalytics.objects.get()
    assert (row.flags, row.opened_at) == (bits.OPEN_HUMAN, frozen.now)
    first = frozen.now
    frozen.forward(3600)
    reader.get(mail.pixel)
    written()
    row.refresh_from_db()
    assert (row.opened_at, TrackingEvent.objects.count()) == (first, 2)


def test_links_lead_on_without_a_query(send_mail, reader):
    mail = send_mail()
    with CaptureQueriesContext(
        connection,
    ) as found:
        assert reader.get(mail.links[0]).status_code == 302
        assert reader.get(mail.pixel).status_code == 200
        assert reader.get(mail.links[0] + "x").status_code == 400
    assert list(found) == []


def test_a_tracked_mail_keeps_its_other_links(send_mail):
    mail = send_mail()
    assert len(mail.links) == 2
    assert any("/preferences/" in each for each in mail.hrefs)
    assert "/track/click" in mail.text, "the text part has the links, too"
    assert "/track/open" not in mail.text


def test_repeats_within_seconds_are_one_event(send_mail, reader, frozen):
    mail = send_mail()
    for _ in range(7):
        reader.get(mail.links[0])
    written()
    assert TrackingEvent.objects.get().repeats == 7


def test_a_hit_waits_until_its_message_is_recorded_as_sent(send_mail, reader, frozen):
    mail = send_mail()
    sent_at = mail.message.sent_at
    type(mail.message).objects.update(sent_at=None)
    reader.get(mail.links[0])
    assert written() == 0
    assert not TrackingEvent.objects.exists()
    type(mail.message).objects.update(sent_at=sent_at)
    assert written() == 1
    assert NotificationAnalytics.objects.get().sent_quarter is not None


def test_a_hit_of_a_deleted_message_is_dropped(send_mail, reader):
    mail = send_mail()
    reader.get(mail.links[0])
    type(mail.message).objects.all().delete()
    written()
    assert not TrackingEvent.objects.exists()
    assert COLLECTOR.write_now() == 0
