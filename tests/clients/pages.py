"""What tests of the web component read from a page."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python
from playwright.sync_api import Locator, Page

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
FOCUSED = """() => { let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at.getAttribute("aria-label") || at.innerText.trim(); }"""


def bell(page: Page) -> Locator:
    return page.locator("carillon-inbox .bell")


def badge(page: Page) -> Locator:
    return page.locator("carillon-inbox .badge")


def articles(page: Page) -> Locator:
    return page.locator("carillon-inbox article")


def titles(page: Page) -> list[str]:
    """Returns the titles of the shown entries, without the word for screen readers."""
    found = page.locator("carillon-inbox .title").all_text_contents()
    return [title.removeprefix("Unread: ") for title in found]


def focused(page: Page) -> str:
    """Returns the label, or the text, of the control with the focus."""
    text: str = page.evaluate(FOCUSED)
    return text


def violations(page: Page) -> list[str]:
    """Returns what axe finds, by every rule of WCAG 2.2 AA and of best practice."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")
    assert found["passes"], "axe has checked nothing"
    return [
        f"{each['id']}: {node['html'][:160]} {node['any'][:1]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]
