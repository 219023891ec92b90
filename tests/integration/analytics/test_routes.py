"""The routes of metrics, reports, goals and events, against the OpenAPI document."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections

from notifications.domain.analytics.counts import Cohort
from notifications.features.analytics.rollup import roll_up_due
from notifications.models import MetricDelta, NotificationAnalytics, NotificationTemplate
from notifications.services import NotificationAnalyticsService
from tests.integration.api.conftest import *  # noqa: F403 -- its clients are fixtures here
from tests.integration.factories import make_messages, make_template, make_user

pytestmark = pytest.mark.django_db
METRICS = "/api/v1/analytics/metrics"
REPORTS = "/api/v1/analytics/reports"
RANGE = {"start_date": "2030-05-01", "end_date": "2030-05-01"}


def count(at, channel="email", version=None, provider="smtp", source="key:1", **counts):
    MetricDelta.objects.append({at: {Cohort(channel, version, provider, source, ""): counts}})


@pytest.fixture
def reader(with_key, frozen):
    return with_key("analytics:read", "analytics:write")


def test_metrics_have_the_documented_shape(reader, frozen):
    version = make_template().current_version_id
    noon = frozen.now
    count(noon, version=version, sent=8, delivered=6, opened_human=2, opened_machine=3)
    count(noon - timedelta(hours=1), channel="sms", sent=2, clicked_human=1, clicked_unknown=1)
    count(noon + timedelta(days=1), sent=100)

    found = reader.get(METRICS, {**RANGE, "interval": "hour", "tz": "Asia/Kathmandu"}).json()

    assert found["period"]["start_date"] == found["period"]["end_date"] == "2030-05-01"
    assert (found["total_sent"], found["total_delivered"]) == (10, 6)
    assert (found["total_opened"], found["total_clicked"]) == (2, 1)
    assert (found["delivery_rate"], found["open_rate"], found["click_rate"]) == (0.6, 0.2, 0.1)
    assert found["by_channel"]["email"] == {"sent": 8, "delivered": 6, "opened": 2, "clicked": 0}
    assert found["engagement"] == {
        "human": {"opened": 2, "clicked": 1},
        "machine": {"opened": 3, "clicked": 0},
        "unknown": {"opened": 0, "clicked": 1},
    }
    assert len(found["series"]) == 24
    assert [each["sent"] for each in found["series"] if each["sent"]] == [2, 8]

    roll_up_due()
    again = reader.get(METRICS, {**RANGE, "interval": "hour", "tz": "Asia/Kathmandu"}).json()
    assert again == found
    only = reader.get(METRICS, {**RANGE, "channel": "sms"}).json()
    assert (only["total_sent"], list(only["by_channel"])) == (2, ["sms"])
    template = NotificationTemplate.objects.get().pk
    assert reader.get(METRICS, {**RANGE, "template_id": template}).json()["total_sent"] == 8


def test_faulty_ranges_are_refused(reader, with_key):
    assert reader.get(METRICS, {"start_date": "2030-05-01"}).status_code == 400
    found = reader.get(METRICS, {**RANGE, "start_date": "2030-04-30T09:10:00Z"})
    assert (found.status_code, found.json()["code"]) == (400, "range_not_aligned")
    assert with_key("notifications:read").get(METRICS, RANGE).status_code == 403


@pytest.mark.parametrize(
    "name",
    [
        "funnel",
        "channels",
        "templates",
        "providers",
        "failures",
        "engagement",
        "reputation",
        "cohort",
    ],
)
def test_reports_are_json_and_csv(reader, frozen, name):
    version = make_template().current_version_id
    count(frozen.now, version=version, provider="=smtp", sent=4, delivered=1, bounced=2, failed=2)
    count(frozen.now, channel="sms", provider="twilio", sent=1)
    roll_up_due()

    found = reader.get(f"{REPORTS}/{name}", RANGE).json()
    assert sum(row["counts"]["sent"] for row in found["results"]) == 5
    assert found["results"][0]["counts"]["sent"] in (4, 5)
    lines = b"".join(reader.get(f"{REPORTS}/{name}.csv", RANGE).streaming_content).decode()
    rows = lines.splitlines()
    assert len(rows) == len(found["results"]) + 1
    assert "\n=" not in lines
    assert ("'=smtp" in lines) == ("provider" in rows[0])


def test_a_long_report_has_pages(reader, frozen):
    for number in range(5):
        count(frozen.now, provider=f"p{number}", sent=number)
    first = reader.get(f"{REPORTS}/providers", {**RANGE, "limit": 3}).json()
    assert [row["counts"]["sent"] for row in first["results"]] == [4, 3, 2]
    second = reader.get(first["next"]).json()
    assert [row["counts"]["sent"] for row in second["results"]] == [1]
    assert second["next"] is None


def test_goals_events_and_conversions(reader, frozen):
    person = make_user()
    made = reader.post("/api/v1/goals", {"name": "Bought", "event": "bought"}, format="json")
    assert made.status_code == 201
    assert reader.get("/api/v1/goals").json()["results"] == [made.json()]
    event = {"user_id": person.pk, "name": "bought", "idempotency_key": "1"}
    assert reader.post("/api/v1/events", event, format="json").json()["accepted"] == 1
    many = reader.post("/api/v1/events", {"events": [event, event]}, format="json").json()
    assert (many["accepted"], many["duplicates"]) == (2, 2)
    body = {"goal": "Bought", "user_id": person.pk}
    found = reader.post("/api/v1/conversions", body, format="json")
    assert (found.status_code, found.json()["notification_id"]) == (201, None)
    assert (
        reader.post("/api/v1/conversions", {**body, "goal": "x"}, format="json").status_code == 404
    )


@pytest.fixture
def _closed_thread():
    """Closes the connection of the thread in which asynchronous calls reach the database."""
    yield
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_closed_thread")
async def test_the_documented_service_tracks_and_counts(frozen):
    (message,) = await sync_to_async(make_messages)(1, in_batch=False)
    identifier = str(await sync_to_async(lambda: message.notification.uuid)())
    service = NotificationAnalyticsService()
    for _ in range(2):
        await service.track_notification_sent(message)
        await service.track_notification_opened(
            identifier, {"device": "phone", "user_agent": "Mail/16.0"}
        )
        await service.track_notification_clicked(str(message.pk), "https://example.org/x")
    await service.track_notification_opened("7" * 15, {})

    assert await service.get_notification_metrics(frozen.now, frozen.now, "email") == {
        "sent": 1,
        "delivered": 0,
        "opened": 1,
        "clicked": 1,
        "open_rate": 1.0,
        "click_rate": 1.0,
        "delivery_rate": 0.0,
    }
    row = await NotificationAnalytics.objects.aget()
    assert (row.opened_from_device, row.user_agent, row.channel) == ("phone", "Mail", "email")
