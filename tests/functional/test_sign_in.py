"""The sign-in of staff in real Chromium: invitation, second factor, passkey, a template's edit."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_browser import CHROMIUM, QUIET, _ready, pytestmark  # noqa: F401
from tests.integration.sign_in.conftest import GOOD, code_of
from tests.pace import pace

_LINK = """
from notifications.features.signing_in.invitations import link_of
from notifications.models import StaffInvitation
print(link_of(StaffInvitation.objects.get()))
"""
_TEMPLATES = """
from notifications.models import Category, NotificationTemplate, StaffGroup, StaffGroupCategory
group = StaffGroup.objects.create(name="payments")
category = Category.objects.get(key="payment")
StaffGroupCategory.objects.create(group=group, category=category)
rows = NotificationTemplate.objects.order_by("pk")
own = rows.filter(category=category).first()
other = rows.exclude(category=category).exclude(path__startswith="system.").first()
print(group.pk, own.pk, other.pk)
"""
SHOTS = os.environ.get("CARILLON_SCREENSHOTS", "")
"""A folder for pictures of the pages, for a person to look at."""


def call(base: str, method: str, path: str, token: str, body: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        base + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def test_an_invited_author_edits_a_template_of_their_category(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    place = Installation(tmp_path, require_second_factor="staff")
    place.prepare(demo=True)
    port = free_port()
    home = f"http://localhost:{port}"
    place.environ["CARILLON_PUBLIC_URL"] = home
    group, own, other = place.python(_TEMPLATES).split()
    invited = place.carillon(
        "admin", "invite", "grace@example.com", "--role", "author", "--group", group
    )
    assert invited.returncode == 0, invited.stderr
    link = place.python(_LINK).strip()
    with place.running("web", "--port", str(port)), sync_playwright() as driver:
        wait_until(lambda: _ready(f"{home}/health/ready"))
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        page.set_default_timeout(60_000 * pace())
        faults: list[str] = []
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        page.goto(link)
        shot(page, "invitation")
        page.fill("#username", "grace")
        page.fill("#password", GOOD)
        page.fill("#again", GOOD)
        submit(page, f"{home}/account/2fa")
        shot(page, "must_enrol")
        page.goto(f"{home}/account")
        assert page.url == f"{home}/account/2fa"
        page.goto(f"{home}/account/2fa/totp/activate")
        secret = page.input_value("#authenticator_secret")
        shot(page, "totp")
        page.fill("input[name=code]", code_of(secret, -1))
        submit(page, f"{home}/account/2fa/codes")
        codes = page.inner_text("#codes").split()
        assert len(codes) == 10
        shot(page, "recovery_codes")

        add_passkey(page, home)
        sign_out(page, home)
        page.fill("input[name=login]", "grace")
        page.fill("input[name=password]", GOOD)
        shot(page, "login")
        submit(page, f"{home}/account/2fa/authenticate")
        shot(page, "second_factor")
        page.fill("input[name=code]", code_of(secret))
        submit(page, f"{home}/account")
        shot(page, "account")

        sign_out(page, home)
        page.click("#passkey_login")
        page.wait_for_url(f"{home}/account")
        page.click("text=Create a token for the API")
        page.wait_for_url(f"{home}/account/token")
        token = page.inner_text("#access")
        shot(page, "token")
        assert faults == []
        browser.close()

        assert _edit(home, token, own)[0] == 200
        status, refusal = _edit(home, token, other)
        assert status == 403, refusal
        assert call(home, "POST", "/api/v1/auth/logout", token, {})[0] == 200
        assert call(home, "GET", f"/api/v1/templates/{own}", token)[0] == 401


def submit(page: Any, url: str) -> None:
    """Sends the first form of the page, and waits for the page that follows."""
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_url(url)


def add_passkey(page: Any, home: str, *, is_alone: bool = True) -> None:
    """Adds a passkey of a virtual authenticator, which stays in the page's browser.

    is_alone: it may be used without a password.
    """
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.goto(f"{home}/account/2fa/passkeys/add")
    if is_alone:
        page.check("input[name=passwordless]")
    shot(page, "passkey")
    page.click("#mfa_webauthn_add")
    page.wait_for_url(re.compile(r"/account/2fa$"))


def sign_out(page: Any, home: str) -> None:
    page.goto(f"{home}/account/logout")
    submit(page, f"{home}/account/login")


def _edit(home: str, token: str, key: str) -> tuple[int, Any]:
    status, found = call(home, "GET", f"/api/v1/templates/{key}", token)
    assert status == 200, found
    return call(home, "PUT", f"/api/v1/templates/{key}", token, {"name": "A new name"})
