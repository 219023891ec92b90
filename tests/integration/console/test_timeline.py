"""A message's timeline in words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import translation

from console import words
from console.notices.timeline import MOST_MOMENTS
from notifications.domain.channels import Channel
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import Verdict
from notifications.infra import clock
from notifications.models import DeliveryAttempt, DeliveryBatch, NotificationMessage
from tests.architecture.test_budgets import ROOT
from tests.integration.factories import make_messages, make_user

NOON = datetime(2030, 5, 1, 22, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def test_a_wait_says_why_and_until_when_and_where() -> None:
    until = datetime(2030, 5, 2, 6, 0, tzinfo=UTC)
    text = words.waits_for("time", "quiet_hours", until=until, now=NOON, zone=BERLIN)
    assert text == "It waits: quiet hours, until 08:00 in Berlin"
    with translation.override("ru"):
        text = words.waits_for("time", "quiet_hours", until=until, now=NOON, zone=BERLIN)
    assert text == "Ждёт: тихие часы, до 08:00 (Berlin)"


@pytest.mark.parametrize("kind", ["kill_switch", "breaker", "pause", "limit", "order", "time"])
def test_every_kind_of_wait_has_words(kind: str) -> None:
    text = words.waits_for(kind, "smtp", until=None, now=NOON, zone=UTC)
    assert text.startswith("It waits")
    assert "%" not in text


def test_another_day_has_its_date() -> None:
    until = NOON + timedelta(days=3)
    text = words.waits_for("time", "scheduled", until=until, now=NOON, zone=UTC)
    assert "4 May" in text


def test_every_documented_decision_has_words() -> None:
    page = (ROOT / "docs/reference/outcomes.md").read_text()
    table = page.partition("## Decisions")[2].partition("## Attempts")[0]
    codes = set(re.findall(r"^\| `([\w]+)[:*`]", table, re.MULTILINE))
    assert len(codes) > 20
    missing = {code for code in codes if code not in words.REASONS} - {"contact_"}
    assert missing == set()


def test_every_state_channel_and_verdict_has_words() -> None:
    with translation.override("ru"):
        for state in MessageStatus:
            assert words.state(state) != state.value
        for verdict in Verdict:
            assert words.verdict(verdict) != verdict.value
    assert {words.channel(each) for each in Channel}.isdisjoint({"in_app", "websocket"})


def test_unknown_codes_are_shown_as_they_are() -> None:
    assert words.reason("smtp_550") == "smtp_550"
    assert words.reason("frequency_cap:course") == f"{words.REASONS['frequency_cap']} (course)"
    assert words.tone("unheard_of") == "quiet"
    assert words.state("unheard_of") == "unheard of"


@pytest.mark.django_db
def test_the_page_says_what_a_message_waits_for(operator: Client) -> None:
    user = make_user(timezone="Europe/Berlin")
    (message,) = make_messages(1, user=user)
    at = clock.now()
    trail = f'[{clock.epoch_ms(at)}, "deferred", "quiet_hours"]'
    NotificationMessage.objects.filter(pk=message.pk).update(trail=trail)
    DeliveryBatch.objects.update(due_at=at + timedelta(hours=2))
    until = (at + timedelta(hours=2)).astimezone(BERLIN)
    url = f"/console/notifications/{message.notification.uuid}"
    text = operator.get(url).content.decode()
    assert f"{until:%H:%M} in Berlin" in text
    assert "It waits: quiet hours" in text


@pytest.mark.django_db
def test_a_long_timeline_shows_the_newest_moments(operator: Client) -> None:
    (message,) = make_messages(1)
    at = clock.now()
    rows = [
        DeliveryAttempt(
            message_id=message.pk,
            number=number,
            provider="smtp",
            verdict="retry",
            error=f"answer {number}.",
            at=at + timedelta(seconds=number),
        )
        for number in range(1, MOST_MOMENTS + 6)
    ]
    DeliveryAttempt.objects.bulk_create(rows)
    url = f"/console/notifications/{message.notification.uuid}"
    text = operator.get(url).content.decode()
    assert f"Attempt {MOST_MOMENTS + 5} by" in text
    assert f"answer {MOST_MOMENTS + 5}." in text
    assert "Attempt 1 by" not in text


def test_the_catalog_has_every_text_of_the_console() -> None:
    """A text that is not in the catalog would be in English on a page in Russian."""
    with translation.override("ru"):
        missing = [text for text in texts_of_console() if translation.gettext(text) == text]
    assert missing == []


def texts_of_console() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "src/console").rglob("*.html"):
        found |= set(re.findall(r"{% translate [\"']([^\"']+)[\"']", path.read_text()))
    for path in (ROOT / "src/console").rglob("*.py"):
        found |= _texts_of_module(path)
    assert len(found) > 200
    return found


def _texts_of_module(path: Path) -> set[str]:
    pattern = r"(?<![\w.])(?:_|gettext_lazy)\(\s*\"((?:[^\"\\]|\\.)+)\"\s*\)"
    return set(re.findall(pattern, path.read_text()))
