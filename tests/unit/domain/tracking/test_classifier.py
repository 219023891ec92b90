"""Rules that tell people from machines, each by the fewest requests that show it."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.engagement import EventKind
from notifications.domain.tracking import agents
from notifications.domain.tracking.classifier import classify
from notifications.domain.tracking.evidence import TrackingEvidence

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/131.0.0.0 Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
OUTLOOK = "Mozilla/4.0 (compatible; ms-office; MSOffice 16)"
FETCH = {"accept-language": "en", "sec-fetch-mode": "navigate"}
FULL = {**FETCH, "sec-fetch-user": "?1"}
HOME, OFFICE, CLOUD = "203.0.113.0/24", "192.0.2.0/24", "18.232.7.0/24"


def click(at: float, link: int = 1, **values: Any) -> TrackingEvidence:
    given = {"agent": CHROME, "network": HOME, "headers": FULL, **values}
    return TrackingEvidence(kind=EventKind.CLICK, at=at, link=link, **given)


def pixel(at: float, **values: Any) -> TrackingEvidence:
    return TrackingEvidence(
        kind=EventKind.OPEN, at=at, **{"agent": OUTLOOK, "network": HOME, **values}
    )


def trap(at: float, network: str = OFFICE) -> TrackingEvidence:
    return TrackingEvidence(kind=EventKind.HONEYPOT, at=at, agent=CHROME, network=network)


def verdicts(*events: TrackingEvidence, has_trap: bool = False) -> list[str]:
    found = classify(events, sent_at=0.0, has_trap=has_trap)
    return [f"{each.actor}:{each.reason}" for each in found]


HUMAN = "human:plausible"


@pytest.mark.parametrize(
    ("agent", "headers", "expected"),
    [
        (SAFARI, FETCH, HUMAN),  # Safari never sends Sec-Fetch-User
        (SAFARI, {"accept-language": "en"}, "unknown:headers"),
        (SAFARI.replace("17.5", "15.6"), {"accept-language": "en"}, HUMAN),
        (CHROME, FETCH, "unknown:headers"),
        (CHROME, {"accept": "text/html"}, "machine:forged"),
    ],
)
def test_which_headers_a_browser_sends(agent: str, headers: dict[str, str], expected: str) -> None:
    assert verdicts(click(90, agent=agent, headers=headers)) == [expected]


def test_a_browser_without_headers_is_believed_after_the_time_of_scans() -> None:
    old = {"agent": SAFARI, "headers": {"accept-language": "en"}}
    assert verdicts(click(7_000, **old)) == [HUMAN]
    read = verdicts(pixel(80), click(90, **old))
    assert read == [HUMAN, HUMAN]


def test_a_program_that_loads_the_pixel_and_a_link_at_once_reads_nothing() -> None:
    own = {"agent": CHROME}
    assert verdicts(pixel(90, **own), click(90.2)) == ["machine:unread_click"] * 2
    assert verdicts(click(90), pixel(91, **own)) == ["machine:late_pixel"] * 2
    rotating = verdicts(pixel(90, agent=CHROME, network=OFFICE), click(90.1))
    assert rotating == ["machine:unread_click"] * 2
    assert verdicts(pixel(90, **own), click(92)) == [HUMAN, HUMAN]
    assert verdicts(pixel(90), click(90.2)) == [HUMAN, HUMAN]


def test_a_cloud_is_a_machines_while_mails_are_scanned_unless_it_was_read() -> None:
    assert verdicts(click(1_500, network=CLOUD)) == ["machine:cloud"]
    assert verdicts(click(2_000, network=CLOUD)) == ["unknown:cloud"]
    assert verdicts(pixel(1_490, network=CLOUD), click(1_500, network=CLOUD)) == [HUMAN, HUMAN]


def test_a_page_that_a_browser_loads_ahead_says_nothing_of_the_click() -> None:
    ahead = click(90, headers={**FULL, "sec-purpose": "prefetch"})
    assert verdicts(ahead, click(95)) == ["machine:prefetch", HUMAN]


def test_a_program_that_borrows_the_browsers_name_does_not_taint_it() -> None:
    copy = click(90, headers={"accept": "*/*"})
    assert verdicts(copy, click(110)) == ["machine:accept", HUMAN]


def test_a_check_of_the_hidden_link_leaves_a_reader_elsewhere_alone() -> None:
    found = verdicts(pixel(900), click(910), trap(912), has_trap=True)
    assert found == [HUMAN, HUMAN, "machine:honeypot"]
    assert verdicts(click(910), trap(912), has_trap=True)[0] == "machine:honeypot_window"
    same = verdicts(pixel(900), click(910), trap(912, network=HOME), has_trap=True)
    assert same[1] == "machine:honeypot_window"


def test_who_loaded_the_pixel_before_or_has_the_same_browser_is_no_check() -> None:
    read = pixel(890, network=OFFICE)
    second = click(905, network=OFFICE)
    checked = verdicts(read, click(900, agent=SAFARI, headers=FETCH), second)
    assert checked[1] == "machine:check"
    assert verdicts(read, click(900), second)[1] == HUMAN
    before = pixel(100)
    again = verdicts(before, read, click(900, agent=SAFARI, headers=FETCH), second)
    assert again[2] == HUMAN


def test_tabs_over_many_networks_are_one_persons_while_the_browser_is_one() -> None:
    networks = (HOME, OFFICE, "198.51.100.0/24")  # a relay changes the address of each request
    run = [click(900 + n, link=n, network=networks[n % 3]) for n in range(1, 5)]
    assert verdicts(*run) == [HUMAN] * 4
    other = [*run, click(905, link=5, agent=SAFARI, headers=FETCH)]
    assert verdicts(*other) == ["machine:many"] * 5


def test_links_that_no_hand_clicks_are_at_once() -> None:
    assert verdicts(click(900), click(900.1, link=2)) == ["machine:at_once"] * 2
    assert verdicts(click(900), click(900.25, link=2)) == [HUMAN] * 2


@pytest.mark.parametrize(
    ("agent", "is_program"),
    [
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", True),
        ("TelegramBot (like TwitterBot)", True),
        ("WhatsApp/2.23.20.0", True),
        (f"{SAFARI} [LinkedInApp]/9.1", False),
        ("Mozilla/5.0 (Linux; Android 13; Pixel 7) Chrome/120.0 Telegram-Android/10.2", False),
        ("Mozilla/5.0 (Linux; Android 11; CUBOT X30) AppleWebKit/537.36 Chrome/120.0", False),
    ],
)
def test_browsers_within_apps_are_no_previews(agent: str, is_program: bool) -> None:
    assert agents.is_program(agent) is is_program
