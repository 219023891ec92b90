"""The pages in real Chromium: they show what was sent and load nothing from another host."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request

import pytest

from tests.functional.installation import Installation, free_port, wait_until

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(CHROMIUM is None, reason="browser tests need Chromium: make browser"),
]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def test_the_outbox_shows_a_first_mail(tmp_path):
    from playwright.sync_api import sync_playwright

    place = Installation(tmp_path)
    place.prepare(demo=True)
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    with place.running("serve", "--port", str(port)), sync_playwright() as driver:
        wait_until(lambda: _ready(f"{home}/health/ready"))
        place.carillon(
            "send", "user.payment.success", "--to", "student1", "--channel", "email",
            "--context", "amount=29.99",
        )  # fmt: skip
        wait_until(lambda: place.statuses().get("sent") == 1)
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        requested, faults = [], []
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        for path in ("/", "/outbox/", "/api/docs/"):
            page.goto(home + path, wait_until="networkidle")
            if path == "/outbox/":
                assert page.get_by_text("student1@example.com").count() == 1
                frame = page.frame_locator("iframe").first
                assert frame.get_by_text("$29.99").first.is_visible()
        browser.close()

    assert [url for url in requested if not url.startswith((home, "data:", "blob:"))] == []
    assert faults == []
