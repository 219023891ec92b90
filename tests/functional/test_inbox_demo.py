"""The demo page of a running service: a real inbox in two tabs, over a restart of the service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from notifications.api.routes import ROUTES
from tests.clients.pages import articles, badge, bell, violations
from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_browser import CHROMIUM, QUIET, _ready

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(CHROMIUM is None, reason="browser tests need Chromium: make browser"),
    pytest.mark.skipif(
        all(route.name != "get_inbox" for route in ROUTES), reason="the API has no inbox"
    ),
]
expect.set_options(timeout=60_000)  # milliseconds; the machine may be busy
STATUS = "document.querySelector('carillon-inbox').store.status"


@pytest.fixture
def pages() -> Iterator[list[Page]]:
    """Yields two tabs of one browser. An error on the console, but for lost connections, fails."""
    faults: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context()
        context.on("console", lambda line: faults.append(line.text) if line.type == "error" else 0)
        yield [context.new_page() for _ in range(2)]
        browser.close()
    assert [fault for fault in faults if "ERR_" not in fault] == []


def send(place: Installation, amount: str) -> None:
    sent = place.carillon(
        "send", "user.payment.success", "--to", "student1", "--channel", "in_app",
        "--context", f"amount={amount}",
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr


def test_the_demo_page_shows_a_live_inbox(tmp_path, pages: list[Page]) -> None:
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    place = Installation(tmp_path, public_url=home)
    place.prepare(demo=True)
    first, second = pages
    with place.running("serve", "--port", str(port)):
        wait_until(lambda: _ready(f"{home}/health/ready"))
        for page in pages:
            page.goto(f"{home}/demo/")
            wait_until(lambda page=page: page.evaluate(STATUS) == "live")
        bell(first).click()
        send(place, "19.99")
        send(place, "29.99")
        expect(articles(first)).to_have_count(2)
        expect(articles(first).first).to_contain_text("29.99")
        expect(badge(second)).to_have_text("2")
        assert violations(first) == []

        articles(first).first.focus()
        first.keyboard.press("u")
        expect(badge(second)).to_have_text("1")
        first.keyboard.press("e")
        expect(articles(first)).to_have_count(1)
        first.keyboard.press("z")
        expect(articles(first)).to_have_count(2)
        first.get_by_role("tab", name="Preferences").click()
        first.get_by_role("switch", name="SMS").first.check()
        expect(first.locator("carillon-inbox .toast")).to_contain_text("Saved")
        first.get_by_role("tab", name="Inbox").click()
    wait_until(lambda: second.evaluate(STATUS) == "waiting")
    with place.running("serve", "--port", str(port)):
        wait_until(lambda: _ready(f"{home}/health/ready"))
        send(place, "39.99")
        expect(articles(first)).to_have_count(3)
        expect(badge(second)).to_have_text("2")
