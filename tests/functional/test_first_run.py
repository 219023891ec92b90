"""From an empty installation to a first real mail, in real Chromium, with every input counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from notifications.testing.servers import SMTPSink
from tests.clients.pages import violations
from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_browser import CHROMIUM, QUIET, _ready, pytestmark  # noqa: F401
from tests.functional.test_sign_in import shot
from tests.integration.sign_in.conftest import GOOD
from tests.pace import pace

MOST_INPUTS = 11
_ADMIN = f"""
from notifications.features.access.administrators import AdministratorService
from notifications.domain.callers import SYSTEM
AdministratorService().create(
    username="ada", email="ada@example.org", password={GOOD!r}, role="admin", caller=SYSTEM
)
"""


class Hands:
    """A person at a page: fills fields and presses buttons, and counts both."""

    def __init__(self, page: Page) -> None:
        self.page, self.inputs = page, 0

    def write(self, label: str, text: str) -> None:
        self.inputs += 1
        self.page.get_by_label(label, exact=True).fill(text)

    def press(self, role: Any, name: str) -> None:
        self.inputs += 1
        self.page.get_by_role(role, name=name, exact=True).click()


def test_a_first_real_mail_takes_eleven_inputs(tmp_path: Path) -> None:
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    place = Installation(tmp_path, public_url=home)
    place.prepare()
    place.python(_ADMIN)
    sink = SMTPSink(login="bell:a secret")
    faults: list[str] = []
    with (
        sink.run_in_thread(),
        place.running("web", "--port", str(port)),
        sync_playwright() as driver,
    ):
        wait_until(lambda: _ready(f"{home}/health/ready"))
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(30_000 * pace())
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        hands = Hands(page)
        page.goto(f"{home}/console")
        hands.write("Username", "ada")
        hands.write("Password", GOOD)
        hands.press("button", "Sign in")
        hands.press("link", "Send the first mail")
        hands.write("Sender", "Bell <bell@localhost>")
        hands.write("Server", f"127.0.0.1:{sink.port}")
        hands.write("User name", "bell")
        hands.write("Password", "a secret")
        hands.press("button", "Check and send a test mail")
        expect(page.get_by_text("The server took the mail.")).to_be_visible()
        shot(page, "first-run-checked-narrow-light")
        assert violations(page) == []
        assert page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")
        hands.press("button", "Store the settings")
        expect(page.get_by_role("status")).to_contain_text("Restart the service")
        shot(page, "first-run-stored-narrow-light")
        browser.close()

    assert hands.inputs <= MOST_INPUTS
    assert [each.recipients for each in sink.messages] == [("ada@example.org",)]
    assert faults == []
    shown = place.carillon("providers", "list", "--json")
    assert shown.returncode == 0, shown.stderr
    (smtp,) = [each for each in json.loads(shown.stdout)["providers"] if each["key"] == "smtp"]
    assert smtp["chosen"]
    assert smtp["settings"]["port"]["value"] == str(sink.port)
    assert smtp["settings"]["user"]["value"] == "bell"
