"""Chromium, and pages with the web component on a server that speaks the inbox protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.clients.inbox_server import InboxServer, make_token
from tests.functional.test_browser import CHROMIUM, QUIET

PAGE = """<!doctype html><html lang="{lang}" dir="{dir}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>A page</title>
<link rel="stylesheet" href="/page.css"><script type="module" src="/page.js"></script>
<script type="module" src="/static/carillon/inbox.js"></script></head>
<body><header><h1>School</h1><carillon-inbox token="{token}" {attributes}></carillon-inbox></header>
<main><p>Some text of the page.</p><button type="button" id="after">After</button></main>
</body></html>"""
STYLE = """body { margin: 0; font: 16px system-ui, sans-serif; color-scheme: light dark;
  background: light-dark(#fafafa, #101114); color: light-dark(#111, #eee); }
header { display: flex; align-items: center; justify-content: space-between; padding: 8px 16px; }
h1 { font-size: 18px; margin: 0; } main { padding: 0 16px; }"""
RECORD = """window.fired = [];
for (const type of ["carillon-token", "carillon-unread", "carillon-open", "carillon-arrived"])
  addEventListener(type, (event) => window.fired.push([type, event.detail.reason ?? event.detail]));
addEventListener("carillon-token", (event) => {
  if (window.fresh) event.detail.respondWith(Promise.resolve(window.fresh));
});"""
EXPECTED = ("401 (Unauthorized)", "503 (Service Unavailable)", "WebSocket connection to")
"""Chromium itself reports what a test refuses."""
Show = Callable[..., Page]
expect.set_options(timeout=30_000)  # milliseconds; the machine may be busy


@pytest.fixture
def server() -> Iterator[InboxServer]:
    with InboxServer().running() as found:
        found.pages |= {"page.css": STYLE, "page.js": RECORD}
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Yields one browser a module: while it is open, no other test may run an event loop."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def options() -> dict[str, object]:
    """What a test may replace: the options of its browser context."""
    return {"viewport": {"width": 900, "height": 760}}


@pytest.fixture
def context(chromium: Browser, options: dict[str, object]) -> Iterator[BrowserContext]:
    """Yields a fresh profile. An error on the console of any of its pages fails the test."""
    context = chromium.new_context(**options)  # type: ignore[arg-type]
    faults: list[str] = []
    context.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    context.on("weberror", lambda error: faults.append(str(error.error)))
    yield context
    context.close()
    assert [fault for fault in faults if not any(text in fault for text in EXPECTED)] == []


@pytest.fixture
def show(server: InboxServer, context: BrowserContext) -> Show:
    """Returns a function that opens another page with the component."""

    def opened(
        attributes: str = "",
        *,
        lang: str = "en",
        direction: str = "ltr",
        token: str | None = None,
        fresh: str = "",
    ) -> Page:
        if token is None:
            token = make_token()
            server.tokens.add(token)
        server.pages[""] = PAGE.format(lang=lang, dir=direction, token=token, attributes=attributes)
        page = context.new_page()
        page.add_init_script(f"window.fresh = {fresh!r}")
        page.goto(f"{server.home}/")
        return page

    return opened
