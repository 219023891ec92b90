"""The account pages in Russian in real Chromium, with a passkey as the second step of a sign-in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_browser import CHROMIUM, QUIET, _ready, pytestmark  # noqa: F401
from tests.functional.test_sign_in import add_passkey, shot, sign_out, submit
from tests.integration.sign_in.conftest import GOOD, code_of
from tests.pace import pace

_STAFF = f"""
from directory.models import User
user = User(username="lovelace", email="ada@example.org", locale="ru", staff_role="author")
user.set_password({GOOD!r})
user.save()
"""
_PAGES = (
    "account",
    "account/2fa",
    "account/2fa/codes",
    "account/2fa/passkeys",
    "account/2fa/passkeys/add",
    "account/2fa/totp/deactivate",
    "account/2fa/codes/generate",
    "account/password",
    "account/logout",
)
_ENGLISH = re.compile(
    r"\b(?:the|your|you|with|sign|password|code|codes|key|keys|account|factor|session|confirm"
    r"|continue|cancel|back|forgot|add|remove|generate|change|current|new|enter|use|please)\b",
    re.IGNORECASE,
)


def english_in(page: Any) -> list[str]:
    """Returns the English words of a page, as a person sees it."""
    shown = page.inner_text("body") + " " + page.title()
    labels = page.eval_on_selector_all(
        "input:not([type=hidden]), button", "all => all.map(each => each.placeholder || '')"
    )
    return _ENGLISH.findall(" ".join([shown, *labels]))


def test_the_pages_are_russian_and_a_passkey_is_the_second_step(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    place = Installation(tmp_path)
    place.prepare()
    port = free_port()
    home = f"http://localhost:{port}"
    place.environ["CARILLON_PUBLIC_URL"] = home
    place.python(_STAFF)
    with place.running("web", "--port", str(port)), sync_playwright() as driver:
        wait_until(lambda: _ready(f"{home}/health/ready"))
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_context(locale="ru-RU").new_page()
        page.set_default_timeout(60_000 * pace())
        faults: list[str] = []
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        english: dict[str, list[str]] = {}

        def look(name: str) -> None:
            shot(page, f"ru_{name.replace('/', '_')}")
            if found := english_in(page):
                english[name] = found

        page.goto(f"{home}/account/password/reset")
        look("reset")
        page.goto(f"{home}/account/login")
        assert page.get_attribute("html", "lang") == "ru"
        look("login")
        page.fill("input[name=login]", "lovelace")
        page.fill("input[name=password]", "wrong horse 9")
        submit(page, f"{home}/account/login")
        look("login_refused")
        _sign_in(page, f"{home}/account")
        page.goto(f"{home}/account/2fa/totp/activate")
        look("totp")
        secret = page.input_value("#authenticator_secret")
        page.fill("input[name=code]", code_of(secret))
        submit(page, f"{home}/account/2fa/codes")
        look("codes_once")
        add_passkey(page, home, is_alone=False)
        for path in _PAGES:
            page.goto(f"{home}/{path}")
            look(path)

        sign_out(page, home)
        _sign_in(page, f"{home}/account/2fa/authenticate")
        look("second_step")
        page.click("#mfa_webauthn_authenticate")
        page.wait_for_url(f"{home}/account")
        row = place.python(
            "from notifications.models import SignIn\n"
            "row = SignIn.objects.order_by('-pk').first()\n"
            "print(row.method, row.second_factor)"
        )
        assert row.split() == ["password", "True"]
        assert english == {}
        assert faults == []
        browser.close()


def _sign_in(page: Any, then: str) -> None:
    page.fill("input[name=login]", "lovelace")
    page.fill("input[name=password]", GOOD)
    submit(page, then)
