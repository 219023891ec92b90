"""The page of reports: figures as the API has them, links to notifications, CSV."""

from __future__ import annotations

import html
import json
import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from console.analytics.filters import sources_of
from console.analytics.names import COUNT_NAMES, GROUP_NAMES, REPORT_NAMES
from notifications.domain.analytics.counts import COUNTS, Cohort
from notifications.domain.analytics.reports import REPORTS
from notifications.infra import clock
from notifications.models import Broadcast, Campaign, MetricDelta
from tests.integration.console.conftest import As
from tests.integration.factories import make_messages, make_template

pytestmark = pytest.mark.django_db
PATH = "/console/analytics"


def count(channel: str = "email", version: int | None = None, **counts: Any) -> None:
    source, variant = counts.pop("source", "key:1"), counts.pop("variant", "")
    cohort = Cohort(channel, version, "smtp", source, variant)
    MetricDelta.objects.append({clock.now() - timedelta(minutes=20): {cohort: counts}})


def text_of(client: Client, query: str = "") -> str:
    answer = client.get(f"{PATH}?{query}")
    assert answer.status_code == 200, answer.content
    return html.unescape(answer.content.decode())


def test_every_report_and_count_has_a_name() -> None:
    assert REPORT_NAMES.keys() == REPORTS.keys()
    assert COUNT_NAMES.keys() == set(COUNTS)
    groups = {name for spec in REPORTS.values() for name in spec.by} - {"template_id"}
    assert GROUP_NAMES.keys() == groups | {"start", "template"}


@pytest.mark.parametrize("report", list(REPORTS))
def test_a_report_shows_the_counts_of_the_api(operator: Client, report: str) -> None:
    version = make_template().current_version_id
    figures = {"sent": 4321, "delivered": 4000, "opened_human": 70, "opened_machine": 90}
    count(version=version, variant=next(iter(REPORTS[report].variants), ""), **figures)
    text = text_of(operator, f"report={report}")
    assert "4\u202f321" in text
    assert str(REPORT_NAMES[report]) in text
    series = re.search(r'data-series="([^"]+)"', text)
    assert series is not None
    columns = json.loads(series[1])
    assert [sum(each) for each in columns[1:]] == [4321, 4000, 0, 70, 90]


def test_people_are_beside_machines(operator: Client) -> None:
    count(version=make_template().current_version_id, sent=100, opened_human=7, opened_machine=9)
    text = text_of(operator, "report=engagement")
    assert text.index("Opened by people") < text.index("Opened by machines")
    assert "7.0 %" in text
    assert "9.0 %" in text


def test_rows_points_and_counts_lead_to_their_notifications(operator: Client) -> None:
    (message,) = make_messages(1, channel="sms")
    count(channel="sms", sent=1, failed=3)
    text = text_of(operator, "report=channels")
    links = re.findall(r'href="(/console/notifications\?[^"]+)"', text)
    row = next(each for each in links if each.startswith("/console/notifications?channel=sms"))
    listed = operator.get(row).content.decode()
    assert str(message.notification.uuid) in listed
    assert "Accepted before: " in listed
    assert any("status=failed&channel=sms" in each for each in links)
    page = operator.get(f"{PATH}?report=channels").content.decode()
    points = re.search(r'data-links="([^"]+)"', page)
    assert points is not None
    urls = json.loads(html.unescape(points[1]))
    assert len(urls) == 30
    assert str(message.notification.uuid) in operator.get(urls[-1]).content.decode()
    assert str(message.notification.uuid) not in operator.get(urls[0]).content.decode()


def test_a_row_that_the_list_cannot_filter_is_no_link(operator: Client, as_role: As) -> None:
    count(sent=5)
    rows = text_of(operator, "report=providers").split('id="report"')[1]
    assert "/console/notifications" not in rows
    analyst = text_of(as_role("analyst"), "report=channels")
    assert "/console/notifications?channel=email" in analyst
    assert 'name="campaign"' not in analyst


def test_a_campaign_counts_the_messages_of_its_broadcasts(operator: Client) -> None:
    campaign = Campaign.objects.create(
        name="Spring", audience={}, template_path="test.hello", channels=["email"]
    )
    assert "Spring" in text_of(operator)
    query = f"report=channels&campaign={campaign.pk}"
    assert "Nothing was sent in this range." in text_of(operator, query)
    made = Broadcast.objects.create(title="t", campaign=campaign)
    count(source=made.source, sent=11)
    count(source="key:1", sent=999_777)
    assert sources_of(campaign.pk) == (made.source,)
    text = text_of(operator, query)
    assert ">11</td>" in text.replace(" <span", "</td>")
    assert "999\u202f777" not in text.split('id="report"')[1]
    assert f"source=broadcast%3A{made.pk}" in text
    assert text_of(operator, f"report=failures&campaign={campaign.pk}")


def test_a_report_is_csv_of_the_same_query(operator: Client) -> None:
    count(channel="sms", sent=2)
    count(channel="email", sent=3)
    link = re.search(r'href="(/console/analytics/csv[^"]+)"', text_of(operator, "report=channels"))
    assert link is not None
    answer = operator.get(link[1])
    assert answer["Content-Type"].startswith("text/csv")
    assert 'filename="channels.csv"' in answer["Content-Disposition"]
    lines = b"".join(answer).decode().splitlines()  # type: ignore[arg-type]  # it is streamed
    assert [line.split(",")[:2] for line in lines[1:]] == [["email", "3"], ["sms", "2"]]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("tz=Mars/Base", "must be an IANA zone"),
        ("start=2030-01-05&end=2030-01-01", "must be after the start"),
        ("start=yesterday", "must be a date"),
        ("template=no.such", "there is no template no.such"),
        ("start=2000-01-01&end=2010-01-01", "at most 1100 days"),
    ],
)
def test_a_refused_range_is_said(operator: Client, query: str, words: str) -> None:
    answer = operator.get(f"{PATH}?{query}")
    assert answer.status_code == 400
    assert words in html.unescape(answer.content.decode())
    assert operator.get(f"{PATH}/csv?{query}")["Location"].startswith(f"{PATH}?")


def test_rows_have_pages(operator: Client) -> None:
    for number in range(52):
        count(version=make_template(f"test.t{number:02}").current_version_id, sent=100 - number)
    first = text_of(operator, "report=templates")
    link = re.search(r'rel="next" href="([^"]+)"', first)
    assert link is not None
    assert "test.t49" in first
    assert "test.t50" not in first
    second = text_of(operator, link[1].partition("?")[2])
    assert "test.t51" in second
    assert 'id="picture"' in first
    assert 'id="picture"' not in second


def test_the_csv_has_the_interval_of_the_page(operator: Client) -> None:
    count(sent=2)
    series = next(name for name, spec in REPORTS.items() if spec.in_series)
    text = text_of(operator, f"report={series}&start=2026-01-01&end=2026-12-31")
    link = re.search(r'href="(/console/analytics/csv[^"]+)"', text)
    assert link is not None
    lines = b"".join(operator.get(link[1])).decode().splitlines()  # type: ignore[arg-type]
    start = datetime.fromisoformat(lines[1].split(",")[0])
    assert start.weekday() == 0  # a week, as on the page


@pytest.mark.parametrize(
    ("start", "interval", "most"), [("2026-11-01", "hour", 30), ("2024-01-01", "hour", 160)]
)
def test_the_picture_has_a_longer_interval_where_it_needs_one(
    operator: Client, start: str, interval: str, most: int
) -> None:
    count(sent=2)
    text = text_of(operator, f"report=channels&start={start}&end=2026-11-30&interval={interval}")
    series = re.search(r'data-series="([^"]+)"', text)
    assert series is not None
    assert most - 10 < len(json.loads(series[1])[0]) <= most


def test_the_last_day_is_one_of_the_zone_that_is_asked_for(operator: Client) -> None:
    now = clock.now()
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # they never have the same day
        today = now.astimezone(ZoneInfo(zone)).date().isoformat()
        assert f'name="end" type="date" value="{today}"' in text_of(operator, f"tz={zone}")


def test_a_campaign_that_is_not_counted_whole_says_so(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = Campaign.objects.create(
        name="Spring", audience={}, template_path="test.hello", channels=["email"]
    )
    for _ in range(2):
        Broadcast.objects.create(title="t", campaign=campaign)
    query = f"report=channels&campaign={campaign.pk}"
    assert "more broadcasts than are counted" not in text_of(operator, query)
    monkeypatch.setattr("console.analytics.filters.MOST_SOURCES", 1)
    assert "more broadcasts than are counted" in text_of(operator, query)
